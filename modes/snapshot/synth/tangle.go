package synth

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"viplab/modes"
)

// Tangle makes random Snapshots of one family whose few Services have all that Services
// can share, exchange and lose from one Snapshot to the next: endpoints in all conditions,
// with ports and hints of their own, addresses of all kinds, node ports and health check
// ports, addresses and settings of the node itself. Each is in normal form.
type Tangle struct {
	*rand.Rand
	// Family is IPv4 if empty.
	Family modes.Family
	// Node are addresses of the node's, which may be a Service's too.
	Node []netip.Addr
	// Protocols are those of Service ports.
	Protocols []modes.Protocol
	// Lacks is what no Service asks for.
	Lacks modes.Limits
}

// one tells with a chance of 1 in n.
func (t Tangle) one(n int) bool { return t.IntN(n) == 0 }

// Snapshot makes the next one, of up to five Services.
func (t Tangle) Snapshot() (s modes.Snapshot) {
	s.Node.Addrs = t.Node
	if !t.one(5) {
		t.give(&s, "10.128.0.0/10", "fd00:10:128::/80")
	}
	t.settings(&s.Node)
	if t.Lacks.CheckAll("", s) != nil {
		s.Node = modes.NodeConfig{Addrs: t.Node}
	}
	for i := range 1 + t.IntN(5) {
		svc := t.service(i)
		if t.Lacks.Check("", svc) != nil {
			continue
		}
		more := s
		more.Services = append(slices.Clone(s.Services), svc)
		// What another one claims already it goes without.
		if more, err := more.Normal(); err == nil {
			s = more
		}
	}
	return s
}

// give sets the range of the pods.
func (t Tangle) give(s *modes.Snapshot, of4, of6 string) {
	if t.Family == modes.IPv6 {
		s.ClusterCIDR6 = netip.MustParsePrefix(of6)
		return
	}
	s.ClusterCIDR = netip.MustParsePrefix(of4)
}

// settings are those of the node: mostly what they are by default.
func (t Tangle) settings(n *modes.NodeConfig) {
	n.MasqueradeAll, n.NoLocalhostNodePorts = t.one(8), t.one(8)
	if t.one(5) && len(t.Node) > 0 {
		n.NodePortAddresses = []netip.Prefix{modes.Host(t.Node[t.IntN(len(t.Node))])}
	}
}

func (t Tangle) service(i int) *modes.Service {
	svc := &modes.Service{Namespace: "tangle", Name: fmt.Sprintf("s%d", i), ClusterIP: t.addr("10.96.0", 6)}
	for _, proto := range t.Protocols[:1+t.IntN(len(t.Protocols))] {
		p := modes.ServicePort{Name: string(proto), Protocol: proto, Port: uint16(80 + t.IntN(3)), TargetPort: 8080}
		if t.one(2) {
			p.NodePort = uint16(30000 + t.IntN(4))
		}
		svc.Ports = append(svc.Ports, p)
	}
	for range t.IntN(4) {
		svc.Endpoints = append(svc.Endpoints, t.endpoint(svc))
	}
	if t.one(2) {
		svc.ExternalIPs = append([]netip.Addr{t.addr("10.96.0", 8)}, t.Node...)[:1+t.IntN(1+min(1, len(t.Node)))]
	}
	if t.one(2) {
		svc.LoadBalancerIPs = []netip.Addr{t.addr("10.111.0", 3)}
		svc.SourceRanges = []netip.Prefix{modes.Host(t.addr("192.0.2", 3)), t.wide()}[:t.IntN(3)]
	}
	svc.ExternalLocal, svc.InternalLocal, svc.PublishUnready = t.one(3), t.one(3), t.one(8)
	svc.Affinity = time.Duration(t.IntN(3)) * 10 * time.Second
	if svc.External() && t.one(4) {
		svc.HealthPort = uint16(31000 + i)
	}
	return svc
}

// endpoint is one of few addresses, mostly ready, at times with a port of its own.
func (t Tangle) endpoint(svc *modes.Service) modes.Endpoint {
	ep := modes.Endpoint{Addr: t.addr("10.128.0", 4), Local: t.one(2), Weight: uint16(t.IntN(3))}
	if t.one(4) {
		ep.Condition = modes.Condition(t.IntN(3))
	}
	if t.one(4) {
		ep.Port = uint16(8080 + t.IntN(2))
	}
	if t.one(6) {
		ep.Only = svc.Ports[t.IntN(len(svc.Ports))].Name
	}
	if t.one(3) {
		ep.ZoneHint = modes.Hint(1 + t.IntN(2))
	}
	if t.one(6) {
		ep.NodeHint = modes.Hint(1 + t.IntN(2))
	}
	return ep
}

// wide is a range that has the lab's clients and nodes.
func (t Tangle) wide() netip.Prefix {
	if t.Family == modes.IPv6 {
		return netip.MustParsePrefix("fd00::/8")
	}
	return netip.MustParsePrefix("10.0.0.0/8")
}

// addr is one of the first n of a network's addresses.
func (t Tangle) addr(net string, n int) netip.Addr {
	if t.Family == modes.IPv6 {
		return netip.MustParseAddr(fmt.Sprintf("fd00:%s::%x", strings.Join(strings.Split(net, ".")[:2], ":"), 1+t.IntN(n)))
	}
	return netip.MustParseAddr(fmt.Sprintf("%s.%d", net, 1+t.IntN(n)))
}
