package userspace

import (
	"bufio"
	"net/netip"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

var _ = golden.Flag()

func TestRules(t *testing.T) {
	spec := synth.Spec{Services: 2, Endpoints: 2, Ports: 1, Seed: 1}
	rs := Rules(spec.Snapshot(), netip.MustParseAddr("10.64.0.1"), func(_ *modes.Service, p modes.ServicePort) uint16 {
		return 2000 + p.Port
	})
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), rules.Ruleset{}, rs); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "rules.txt", b.String())
}

// TestUpdates: what the proxy process is told at each change.
func TestUpdates(t *testing.T) {
	spec := synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1}
	p := &Proxier{portals: map[portKey]*portalState{}}
	snap := spec.Snapshot()
	u, opened, moved := p.plan(snap, modes.Diff(p.current, snap))
	if len(u.Set) != 6 || len(opened) != 6 || !moved {
		t.Fatalf("first: %d portals set, %d opened, rules move: %v", len(u.Set), len(opened), moved)
	}
	p.current = snap
	for _, c := range []struct {
		kind             string
		set, open, close int
		moved            bool
	}{
		{modes.ServiceAdd, 1, 1, 0, true},
		{modes.ServiceDelete, 0, 0, 1, true},
		{modes.EndpointAdd, 2, 0, 0, false},
		{modes.EndpointDelete, 2, 0, 0, false},
	} {
		next, _, err := spec.Apply(snap, c.kind)
		if err != nil {
			t.Fatal(err)
		}
		u, opened, moved := p.plan(next, modes.Diff(p.current, next))
		if len(u.Set) != c.set || len(opened) != c.open || len(u.Delete) != c.close || moved != c.moved {
			t.Errorf("%s: set %d, opened %d, closed %d, rules move: %v", c.kind, len(u.Set), len(opened), len(u.Delete), moved)
		}
		snap, p.current = next, next
	}
}
