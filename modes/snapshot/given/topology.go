package given

import (
	"iter"
	"net/netip"
	"slices"

	"viplab/modes"
)

// Topology is somebody's Services of one family as a [modes.Topology], which is held
// whole.
type Topology struct{ modes.Snapshot }

var _ modes.Topology = Topology{}

// Whole is all of it.
func (t Topology) Whole() modes.Snapshot { return t.Snapshot }

// Count implements [modes.Topology].
func (t Topology) Count() int { return len(t.Services) }

// At implements [modes.Topology].
func (t Topology) At(position int) *modes.Service { return t.Services[position] }

// VIP implements [modes.Topology].
func (t Topology) VIP(position int) netip.Addr { return t.Services[position].ClusterIP }

// Head implements [modes.Topology].
func (t Topology) Head(n int) modes.Snapshot {
	s := t.Snapshot
	s.Services = s.Services[:n:n]
	return s
}

// Fronts implements [modes.Topology]: external addresses are dispatched beside ClusterIPs.
func (t Topology) Fronts() iter.Seq2[int, modes.Front] {
	return func(yield func(int, modes.Front) bool) {
		for i, svc := range t.Services {
			for _, p := range svc.Ports {
				for _, a := range slices.Concat([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs, svc.LoadBalancerIPs) {
					if !yield(i, modes.Front{Proto: p.Protocol, Addr: netip.AddrPortFrom(a, p.Port)}) {
						return
					}
				}
			}
		}
	}
}
