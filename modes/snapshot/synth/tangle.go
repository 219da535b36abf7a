package synth

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"viplab/modes"
)

// Tangle makes random Snapshots of IPv4 whose few Services have all that Services can
// share, exchange and lose from one Snapshot to the next: endpoints, addresses of all
// kinds, node ports and health check ports, and addresses of the node itself. Each is in
// normal form.
type Tangle struct {
	*rand.Rand
	// Node are addresses of the node's, which may be a Service's too.
	Node []netip.Addr
	// Protocols are those of Service ports.
	Protocols []modes.Protocol
}

// Snapshot makes the next one, of up to five Services.
func (t Tangle) Snapshot() (s modes.Snapshot) {
	s.Node.Addrs, s.ClusterCIDR = t.Node, netip.MustParsePrefix("10.128.0.0/10")
	if t.IntN(5) == 0 {
		s.ClusterCIDR = netip.Prefix{}
	}
	for i := range 1 + t.IntN(5) {
		more := s
		more.Services = append(slices.Clone(s.Services), t.service(i))
		// What another one claims already it goes without.
		if more, err := more.Normal(); err == nil {
			s = more
		}
	}
	return s
}

func (t Tangle) service(i int) *modes.Service {
	svc := &modes.Service{Namespace: "tangle", Name: fmt.Sprintf("s%d", i), ClusterIP: t.addr("10.96.0", 6)}
	for range t.IntN(4) {
		svc.Endpoints = append(svc.Endpoints, modes.Endpoint{Addr: t.addr("10.128.0", 4), Local: t.IntN(2) == 0, Weight: uint16(t.IntN(3))})
	}
	if t.IntN(2) == 0 {
		svc.ExternalIPs = append([]netip.Addr{t.addr("10.96.0", 8)}, t.Node...)[:1+t.IntN(1+min(1, len(t.Node)))]
	}
	if t.IntN(2) == 0 {
		svc.LoadBalancerIPs = []netip.Addr{t.addr("10.111.0", 3)}
		svc.SourceRanges = []netip.Prefix{modes.Host(t.addr("192.0.2", 3)), netip.MustParsePrefix("10.0.0.0/8")}[:t.IntN(3)]
	}
	svc.ExternalLocal, svc.InternalLocal = t.IntN(3) == 0, t.IntN(3) == 0
	svc.Affinity = time.Duration(t.IntN(3)) * 10 * time.Second
	for _, proto := range t.Protocols[:1+t.IntN(len(t.Protocols))] {
		p := modes.ServicePort{Name: string(proto), Protocol: proto, Port: uint16(80 + t.IntN(3)), TargetPort: 8080}
		if t.IntN(2) == 0 {
			p.NodePort = uint16(30000 + t.IntN(4))
		}
		svc.Ports = append(svc.Ports, p)
	}
	if svc.External() && t.IntN(4) == 0 {
		svc.HealthPort = uint16(31000 + i)
	}
	return svc
}

// addr is one of the first n of a network's addresses.
func (t Tangle) addr(net string, n int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("%s.%d", net, 1+t.IntN(n)))
}
