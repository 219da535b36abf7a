package ipvs

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

var _ = golden.Flag()

func list(changes []modes.Change) string {
	var b strings.Builder
	for o := range Plan(changes) {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	spec := synth.Spec{Services: 2, Endpoints: 2, Ports: 1, Seed: 1}
	snap := spec.Snapshot()
	var out strings.Builder
	out.WriteString("# all\n" + list(modes.Diff(modes.Snapshot{}, snap)))
	for _, kind := range modes.ChangeKinds() {
		next, _, err := spec.Apply(snap, kind)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("# " + kind + "\n" + list(modes.Diff(snap, next)))
		snap = next
	}
	golden.Check(t, "plan.txt", out.String())
}

func TestRules(t *testing.T) {
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), rules.Ruleset{}, Options{}.rules(modes.Snapshot{ClusterCIDR: synth.EndpointRange}, node{}, false)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "rules.txt", b.String())
}

// TestRulesWithoutSets: a rule for each entry that a set would have, and one more place.
func TestRulesWithoutSets(t *testing.T) {
	spec := synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1}
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), rules.Ruleset{}, Options{Lookup: LookupRules}.rules(spec.Snapshot(), node{}, false)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "lookup-rules.txt", b.String())
}

// TestRefusals: what the options cannot serve is said before anything is programmed.
func TestRefusals(t *testing.T) {
	snap := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}.Snapshot()
	outer := *snap.Services[0]
	outer.ExternalIPs = []netip.Addr{netip.MustParseAddr("10.111.0.1")}
	six := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1, Family: modes.IPv6, SamePort: true}.Snapshot()
	for want, c := range map[string]struct {
		o Options
		s modes.Snapshot
	}{
		"endpoints listen on another port": {Options{Forward: DirectRouting}, snap},
		"without ipsets only cluster IPs":  {Options{Lookup: LookupRules}, snap.With(&outer)},
		"end tunnels of IPv4 only":         {Options{Forward: Tunnel, Family: modes.IPv6}, six},
		"of the other address family":      {Options{}, six},
	} {
		err := c.o.check(modes.Diff(modes.Snapshot{}, c.s))
		var unsupported *modes.UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
