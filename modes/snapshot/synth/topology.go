package synth

import (
	"iter"
	"net/netip"

	"viplab/modes"
)

// A Spec is a [modes.Topology].
var _ modes.Topology = Spec{}

// Count implements [modes.Topology].
func (s Spec) Count() int { return s.Services }

// At implements [modes.Topology].
func (s Spec) At(position int) *modes.Service { return s.Service(position) }

// Head implements [modes.Topology].
func (s Spec) Head(n int) modes.Snapshot {
	s.Services = n
	return s.Snapshot()
}

// Fronts implements [modes.Topology], without making the Services.
func (s Spec) Fronts() iter.Seq2[int, modes.Front] {
	return func(yield func(int, modes.Front) bool) {
		udp := s.UDPPositions()
		for i := range s.Services {
			vip := s.VIP(i)
			for p := range s.Ports {
				if !yield(i, modes.Front{Proto: modes.TCP, Addr: netip.AddrPortFrom(vip, FirstPort+uint16(p))}) {
					return
				}
			}
			if len(udp) == 0 || udp[0] != i {
				continue
			}
			if udp = udp[1:]; !yield(i, modes.Front{Proto: modes.UDP, Addr: netip.AddrPortFrom(vip, FirstPort)}) {
				return
			}
		}
	}
}
