// Package synth makes the lab's Snapshots: N Services of E endpoints and P
// ports each, the same for the same [Spec], whatever the machine.
//
// Virtual IPs are scattered over 10.96.0.0/12 by a seeded permutation, as an
// allocator that picks at random would, and the first n Services of a larger
// Snapshot are the same n Services. Endpoints fill 10.128.0.0/9 from below.
package synth

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"viplab/modes"
)

// Ranges that the lab's addresses come from. They exist only inside the
// namespaces of a run.
var (
	VIPRange      = netip.MustParsePrefix("10.96.0.0/12")
	EndpointRange = netip.MustParsePrefix("10.128.0.0/9")

	VIPRange6      = netip.MustParsePrefix("fd00:10:96::/108")
	EndpointRange6 = netip.MustParsePrefix("fd00:10:128::/64")
)

// Limits of a Spec, given by the address ranges and port numbers.
const (
	MaxServices  = 1_000_000
	MaxEndpoints = 8_000_000 // Services times endpoints
	MaxPorts     = 64
	MaxWeight    = 65535
)

// Ports of every Service: TCP ports count up from these, and the Services
// that have a UDP port have it at the same number.
const (
	FirstPort       = 80
	FirstTargetPort = 8080
)

// udpServices is how many Services, evenly spaced and with the first and the
// last among them, have a UDP port beside their TCP ports. UDP on every Service
// would double the rules per Service against the published experiments.
const udpServices = 16

// Spec says what topology to make.
type Spec struct {
	Services  int    `json:"services" yaml:"services"`
	Endpoints int    `json:"endpoints" yaml:"endpoints"` // per Service
	Ports     int    `json:"ports" yaml:"ports"`         // TCP ports per Service
	Seed      uint64 `json:"seed" yaml:"seed"`
	// Family is the Services' address family, IPv4 if empty. With [modes.Dual] each
	// Service is two of the same name.
	Family modes.Family `json:"family,omitempty" yaml:"family,omitempty"`
	// SamePort lets endpoints listen on the Service's own port, which forwarding
	// methods that leave packets as they are need.
	SamePort bool `json:"same_port,omitempty" yaml:"same_port,omitempty"`
	// Weights are those of a Service's endpoints, in turn; none for 1 each.
	Weights []int `json:"weights,omitempty" yaml:"weights,omitempty"`
	// Affinity is that of every Service, 0 for none.
	Affinity time.Duration `json:"affinity,omitempty" yaml:"affinity,omitempty"`
}

// Width is how many entries of a Snapshot a Service is: two if it is dual-stack.
func (s Spec) Width() int {
	if s.Family == modes.Dual {
		return 2
	}
	return 1
}

// TargetPort is the port of endpoints behind the first port of every Service.
func (s Spec) TargetPort() uint16 {
	if s.SamePort {
		return FirstPort
	}
	return FirstTargetPort
}

// Validate says in one sentence what is out of range.
func (s Spec) Validate() error {
	switch {
	case s.Services < 1 || s.Services > MaxServices:
		return fmt.Errorf("services must be 1 to %d (the range %s), got %d", MaxServices, VIPRange, s.Services)
	case s.Endpoints < 1 || s.Endpoints > 250:
		return fmt.Errorf("endpoints must be 1 to 250 for each Service, got %d", s.Endpoints)
	case s.Services*s.Endpoints > MaxEndpoints:
		return fmt.Errorf("%d services of %d endpoints do not fit in %s (at most %d endpoints)", s.Services, s.Endpoints, EndpointRange, MaxEndpoints)
	case s.Family != "" && !slices.Contains(modes.Families(), s.Family):
		return fmt.Errorf("unknown address family %q: valid are %v", s.Family, modes.Families())
	case slices.ContainsFunc(s.Weights, func(w int) bool { return w < 1 || w > MaxWeight }):
		return fmt.Errorf("weights must be 1 to %d, got %v", MaxWeight, s.Weights)
	case s.Affinity < 0 || s.Affinity > modes.MaxAffinity || s.Affinity%time.Second != 0:
		return fmt.Errorf("affinity must be 0 to %s in whole seconds, got %s", modes.MaxAffinity, s.Affinity)
	case s.Ports < 1 || s.Ports > MaxPorts:
		return fmt.Errorf("ports must be 1 to %d for each Service, got %d", MaxPorts, s.Ports)
	}
	return nil
}

// Snapshot makes all Services of the Spec.
func (s Spec) Snapshot() modes.Snapshot {
	snap := modes.Snapshot{Services: make([]*modes.Service, 0, s.Services*s.Width()), ClusterCIDR: EndpointRange}
	if s.Family.Has(modes.IPv6) {
		snap.ClusterCIDR6 = EndpointRange6
	}
	for i := range s.Services {
		snap.Services = append(snap.Services, s.both(i)...)
	}
	return snap
}

// both makes the Service at position i, once for each family.
func (s Spec) both(i int) []*modes.Service {
	out := []*modes.Service{s.Service(i)}
	if s.Family == modes.Dual {
		s.Family = modes.IPv6
		out = append(out, s.Service(i))
	}
	return out
}

// Service makes the Service at position i, of a dual-stack one the part of IPv4.
// Positions at and above s.Services are Services that the Snapshot does not hold,
// for a change to add.
func (s Spec) Service(i int) *modes.Service {
	svc := &modes.Service{
		Namespace: "lab",
		Name:      fmt.Sprintf("svc-%07d", i),
		ClusterIP: s.VIP(i),
		Affinity:  s.Affinity,
		Ports:     make([]modes.ServicePort, 0, s.Ports+1),
		Endpoints: make([]modes.Endpoint, s.Endpoints),
	}
	for p := range s.Ports {
		svc.Ports = append(svc.Ports, modes.ServicePort{
			Name: fmt.Sprintf("p%d", p), Protocol: modes.TCP,
			Port: FirstPort + uint16(p), TargetPort: s.TargetPort() + uint16(p),
		})
	}
	if s.HasUDP(i) {
		svc.Ports = append(svc.Ports, modes.ServicePort{
			Name: "udp", Protocol: modes.UDP, Port: FirstPort, TargetPort: s.TargetPort(),
		})
	}
	for e := range svc.Endpoints {
		svc.Endpoints[e].Addr = s.endpoint(i*s.Endpoints + e)
		if len(s.Weights) > 0 {
			svc.Endpoints[e].Weight = uint16(s.Weights[e%len(s.Weights)])
		}
	}
	return svc
}

// HasUDP tells whether the Service at position i has a UDP port.
func (s Spec) HasUDP(i int) bool {
	if i >= s.Services {
		return false
	}
	n := min(udpServices, s.Services)
	if n < 2 {
		return true
	}
	for k := range n {
		if i == k*(s.Services-1)/(n-1) {
			return true
		}
	}
	return false
}

// UDPPositions lists the positions of the Services that have a UDP port.
func (s Spec) UDPPositions() []int {
	n := min(udpServices, s.Services)
	if n < 2 {
		return []int{0}
	}
	out := make([]int, n)
	for k := range out {
		out[k] = k * (s.Services - 1) / (n - 1)
	}
	return out
}

// VIP is the virtual IP at position i.
func (s Spec) VIP(i int) netip.Addr {
	v := uint32(i)
	for {
		// 0 is the network's own address: walk the permutation's cycle on.
		if v = s.permute(v); v != 0 {
			if s.Family == modes.IPv6 {
				return offset(VIPRange6, v)
			}
			return offset(VIPRange, v)
		}
	}
}

// SpareEndpoint is an endpoint that no Service of the Snapshot has, for a
// change to add; k counts them.
func (s Spec) SpareEndpoint(k int) netip.Addr {
	return s.endpoint((s.Services+1)*s.Endpoints + k)
}

func (s Spec) endpoint(k int) netip.Addr {
	if s.Family == modes.IPv6 {
		return offset(EndpointRange6, uint32(k+1))
	}
	return offset(EndpointRange, uint32(k+1))
}

// permute is a bijection on 20 bits: a four-round Feistel network whose round
// function is a hash (FNV-1a) of the seed, the round and one half.
func (s Spec) permute(v uint32) uint32 {
	const half, mask = 10, 1<<10 - 1
	l, r := v>>half&mask, v&mask
	for round := range uint32(4) {
		h := uint32(2166136261)
		for _, word := range [4]uint32{uint32(s.Seed), uint32(s.Seed >> 32), round, r} {
			for range 4 {
				h = (h ^ word&0xff) * 16777619
				word >>= 8
			}
		}
		l, r = r, l^(h>>7)&mask
	}
	return l<<half | r
}

// offset is the address n after the first of a range.
func offset(p netip.Prefix, n uint32) netip.Addr {
	b := p.Addr().AsSlice()
	last := b[len(b)-4:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)+n)
	a, _ := netip.AddrFromSlice(b)
	return a
}
