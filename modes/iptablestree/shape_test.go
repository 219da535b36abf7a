package iptablestree

import (
	"net/netip"
	"testing"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/snapshot/synth"
)

// TestShape: what a Shape says is what the tracer finds in the real tree.
func TestShape(t *testing.T) {
	for _, n := range []int{1, 2, 7, 64, 500, 3000} {
		for _, fanout := range []int{2, 8, 64} {
			spec := synth.Spec{Services: n, Endpoints: 2, Ports: 2, Seed: uint64(n)}
			snap := spec.Snapshot()
			var keys []uint32
			for _, svc := range snap.Services {
				for range svc.Ports {
					keys = append(keys, Key(svc.ClusterIP))
				}
			}
			s := NewShape(fanout, keys)
			program := iptables.Program(Dispatch(fanout), snap)
			chains, rules := program.Rules.Count()
			linearChains, linearRules := iptables.Program(nil, snap).Rules.Count()
			gotChains, gotRules := s.Count()
			if gotChains != chains-linearChains || gotRules != rules-linearRules+len(keys) {
				t.Errorf("%d services, fan-out %d: %d chains and %d rules, the tree has %d and %d", n, fanout, gotChains, gotRules, chains-linearChains, rules-linearRules+len(keys))
			}
			// A snapshot of that one Service, without a tree to speak of.
			for _, i := range []int{0, n / 3, n - 1} {
				svc := snap.Services[i]
				flow := modes.Flow{From: modes.FromClient, Proto: modes.TCP, Src: netip.MustParseAddrPort("10.200.0.1:5"), Dst: netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port)}
				alone := iptables.Program(nil, modes.Snapshot{Services: []*modes.Service{svc}, ClusterCIDR: snap.ClusterCIDR}).Follow(netip.Addr{}, flow)
				in := program.Follow(netip.Addr{}, flow)
				looked, jumps := s.Walk(Key(svc.ClusterIP))
				if in.Rules != alone.Rules+looked-1 || in.Jumps != alone.Jumps+jumps || in.Fate != modes.ToEndpoint {
					t.Errorf("%d services, fan-out %d, service %d: walks %d rules and %d jumps more than alone, by the shape %d and %d",
						n, fanout, i, in.Rules-alone.Rules, in.Jumps-alone.Jumps, looked-1, jumps)
				}
			}
		}
	}
}
