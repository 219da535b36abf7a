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
	for _, family := range []modes.Family{modes.IPv4, modes.IPv6} {
		for _, n := range []int{1, 2, 7, 64, 500, 3000} {
			for _, fanout := range []int{2, 8, 32, 64} {
				testShape(t, fanout, synth.Spec{Services: n, Endpoints: 2, Ports: 2, Seed: uint64(n), Family: family})
			}
		}
	}
}

func testShape(t *testing.T, fanout int, spec synth.Spec) {
	n := spec.Services
	snap := spec.Snapshot().Of(spec.Family)
	s := NewShape(fanout, leaves(spec))
	program := iptables.Program(Dispatch(fanout), snap)
	chains, rules := program.Rules.Count()
	linearChains, linearRules := iptables.Program(nil, snap).Rules.Count()
	gotChains, gotRules := s.Count()
	if all := len(leaves(spec)); gotChains != chains-linearChains || gotRules != rules-linearRules+all {
		t.Errorf("%+v, fan-out %d: %d chains and %d rules, the tree has %d and %d", spec, fanout, gotChains, gotRules, chains-linearChains, rules-linearRules+all)
	}
	client := netip.MustParseAddr("10.200.0.1")
	if spec.Family == modes.IPv6 {
		client = netip.MustParseAddr("fd00:200::1")
	}
	// A snapshot of that one Service, without a tree to speak of.
	for _, i := range []int{0, n / 3, n - 1} {
		svc := snap.Services[i]
		flow := modes.Flow{From: modes.FromClient, Proto: modes.TCP, Src: netip.AddrPortFrom(client, 5), Dst: netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port)}
		alone := iptables.Program(nil, modes.Snapshot{Services: []*modes.Service{svc}, ClusterCIDR: snap.ClusterCIDR}).Follow(netip.Addr{}, flow)
		in := program.Follow(netip.Addr{}, flow)
		looked, jumps := s.Walk(svc.ClusterIP)
		if in.Rules != alone.Rules+looked-1 || in.Jumps != alone.Jumps+jumps || in.Fate != modes.ToEndpoint {
			t.Errorf("%+v, fan-out %d, service %d: walks %d rules and %d jumps more than alone, by the shape %d and %d",
				spec, fanout, i, in.Rules-alone.Rules, in.Jumps-alone.Jumps, looked-1, jumps)
		}
	}
}
