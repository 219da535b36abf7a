// Package given takes somebody's own Services as what a trial measures: which of them
// answer a client, and which changes to make of them. Its counterpart for Services that
// the lab makes itself is package synth.
package given

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"viplab/modes"
)

// Set is a Snapshot with what a trial needs of it.
type Set struct {
	// Snapshot is in normal form, with addresses of the lab's network.
	Snapshot modes.Snapshot

	dialled map[modes.Protocol][]int
	used    map[netip.Addr]bool
	ranges  Ranges
	further string // the key of the Service that WithFurther added
}

// Ranges are where addresses that a change adds come from: below their ends.
type Ranges struct{ VIPs, Endpoints netip.Prefix }

// New makes a Set. Its Services are dialled by the family of the ranges, in which
// there must be one that answers over TCP.
func New(s modes.Snapshot, in Ranges) (*Set, error) {
	set := &Set{Snapshot: s, dialled: map[modes.Protocol][]int{}, used: map[netip.Addr]bool{}, ranges: in}
	for i, svc := range s.Services {
		for _, a := range slices.Concat([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs, svc.LoadBalancerIPs) {
			set.used[a] = true
		}
		for _, ep := range svc.Endpoints {
			set.used[ep.Addr] = true
		}
		for _, proto := range []modes.Protocol{modes.TCP, modes.UDP} {
			if _, _, ok := Answers(svc, proto); ok && svc.Family() == modes.FamilyOf(in.VIPs.Addr()) {
				set.dialled[proto] = append(set.dialled[proto], i)
			}
		}
	}
	if len(set.dialled[modes.TCP]) == 0 {
		return nil, fmt.Errorf("no Service answers a client over TCP at a ClusterIP of %s: there is nothing to measure", modes.FamilyOf(in.VIPs.Addr()))
	}
	return set, nil
}

// Answers is the first port of a Service, and the endpoints behind it, that answer a
// client in the cluster which dials the ClusterIP over a protocol.
func Answers(svc *modes.Service, proto modes.Protocol) (modes.ServicePort, []modes.Endpoint, bool) {
	for _, p := range svc.Ports {
		if p.Protocol != proto {
			continue
		}
		reach := svc.Reach(p)
		list := reach.Cluster
		if svc.InternalLocal {
			list = reach.Local
		}
		if len(list) > 0 {
			return p, list, true
		}
	}
	return modes.ServicePort{}, nil, false
}

// Dialled lists the positions, in the Snapshot, of the Services that answer over a
// protocol.
func (s *Set) Dialled(proto modes.Protocol) []int { return s.dialled[proto] }

// Spare is a VIP that no Service has.
func (s *Set) Spare() netip.Addr { return s.free(s.ranges.VIPs, 0) }

// SpareEndpoint is an endpoint that no Service has, for a change to add; k counts them.
func (s *Set) SpareEndpoint(k int) netip.Addr { return s.free(s.ranges.Endpoints, k) }

// free is the k-th address, from the end of a range, that no Service has.
func (s *Set) free(in netip.Prefix, k int) netip.Addr {
	a := last(in)
	for {
		if a = a.Prev(); s.used[a] {
			continue
		}
		if k == 0 {
			return a
		}
		k--
	}
}

// last is the last address of a range, but for those in the topmost 4096, which belong to
// links of the lab's network.
func last(in netip.Prefix) netip.Addr {
	b := in.Masked().Addr().AsSlice()
	for i := range b {
		host := min(max(8*(i+1)-in.Bits(), 0), 8)
		b[i] |= byte(1<<host - 1)
	}
	b[len(b)-2] &^= 0x0f
	b[len(b)-2], b[len(b)-1] = b[len(b)-2]-1, 0xff
	a, _ := netip.AddrFromSlice(b)
	return a
}

// namespace is that of the Service which a change adds, behind all others in order.
const namespace = "zz-viplab"

// Added is the Service that a change adds, the n-th of them: as many endpoints as the
// median Service that answers has.
func (s *Set) Added(n int) *modes.Service {
	var sizes []int
	for _, i := range s.dialled[modes.TCP] {
		sizes = append(sizes, len(s.Snapshot.Services[i].Endpoints))
	}
	slices.Sort(sizes)
	svc := &modes.Service{Namespace: namespace, Name: fmt.Sprintf("added-%d", n), ClusterIP: s.free(s.ranges.VIPs, 1+n),
		Ports: []modes.ServicePort{{Name: "p0", Protocol: modes.TCP, Port: AddedPort, TargetPort: AddedTarget}}}
	for i := range max(1, sizes[len(sizes)/2]) {
		svc.Endpoints = append(svc.Endpoints, modes.Endpoint{Addr: s.SpareEndpoint(firstAdded + i)})
	}
	return svc
}

// WithFurther is a Set with one Service more, of some endpoints with these weights in turn
// (none: 1 each), that stands behind the one in the middle of those that answer.
func (s *Set) WithFurther(endpoints int, weights []int) (*Set, error) {
	at := s.Snapshot.Services[s.dialled[modes.TCP][(len(s.dialled[modes.TCP])-1)/2]]
	svc := *s.Added(0)
	svc.Namespace, svc.Name = at.Namespace, at.Name[:min(len(at.Name), modes.MaxName-len(behind))]+behind
	svc.Endpoints = nil
	for i := range endpoints {
		ep := modes.Endpoint{Addr: s.SpareEndpoint(firstAdded + i)}
		if len(weights) > 0 {
			ep.Weight = uint16(weights[i%len(weights)])
		}
		svc.Endpoints = append(svc.Endpoints, ep)
	}
	out, err := New(s.Snapshot.With(&svc), s.ranges)
	if err == nil {
		out.further = svc.Key()
	}
	return out, err
}

// IsFurther tells whether a Service is the one that WithFurther added.
func (s *Set) IsFurther(svc *modes.Service) bool { return svc.Key() == s.further }

// behind is what the name of that Service ends in.
const behind = "-viplab"

// Ports of a Service that a change adds.
const AddedPort, AddedTarget = 80, 8080

// firstAdded keeps the endpoints of an added Service apart from those that come to others.
const firstAdded = 4096

// Apply makes one change and returns the new Snapshot and the changed Service (for
// service-delete: the one that is gone). Services come and go at the end; endpoints come
// and go at the Service in the middle of those that answer.
func (s *Set) Apply(snap modes.Snapshot, kind string) (modes.Snapshot, *modes.Service, error) {
	switch kind {
	case modes.ServiceAdd:
		svc := s.Added(0)
		return snap.With(svc), svc, nil
	case modes.ServiceDelete:
		i := len(snap.Services) - 1
		if i < 0 || snap.Services[i].Namespace != namespace {
			return snap, nil, fmt.Errorf("%s: no service was added that could go", kind)
		}
		return snap.Without(i), snap.Services[i], nil
	case modes.EndpointAdd, modes.EndpointDelete:
		at := s.dialled[modes.TCP][(len(s.dialled[modes.TCP])-1)/2]
		svc := s.changed(snap.Services[at], s.SpareEndpoint(0), kind == modes.EndpointAdd)
		return snap.With(svc), svc, nil
	}
	return snap, nil, fmt.Errorf("unknown change %q: valid are %v", kind, modes.ChangeKinds())
}

// changed is a Service with one endpoint more, like the first one that answers but for its
// address, or without it.
func (s *Set) changed(of *modes.Service, a netip.Addr, add bool) *modes.Service {
	svc := *of
	svc.Endpoints = slices.DeleteFunc(slices.Clone(of.Endpoints), func(ep modes.Endpoint) bool { return ep.Addr == a })
	if _, list, ok := Answers(of, modes.TCP); add && ok {
		ep := list[0]
		ep.Addr = a
		svc.Endpoints = append(svc.Endpoints, ep)
	}
	return &svc
}

// Churn makes an endless series of changes, the same for the same seed: mostly an endpoint
// that comes to or goes from a random Service, every fifth time a Service that comes or
// goes at the end.
type Churn struct {
	set *Set
	rng *rand.Rand
	n   int
}

// Churn starts a series.
func (s *Set) Churn(seed, round uint64) *Churn {
	return &Churn{set: s, rng: rand.New(rand.NewPCG(seed, round))}
}

// Next makes one change. The Snapshot must be the Set's, with the changes before.
func (c *Churn) Next(snap modes.Snapshot) modes.Snapshot {
	c.n++
	if c.n%5 == 0 {
		if i := len(snap.Services) - 1; snap.Services[i].Namespace == namespace {
			return snap.Without(i)
		}
		return snap.With(c.set.Added(0))
	}
	all := c.set.dialled[modes.TCP]
	svc := snap.Services[all[c.rng.IntN(len(all))]]
	a := c.set.SpareEndpoint(0)
	return snap.With(c.set.changed(svc, a, svc.Index(a) < 0))
}
