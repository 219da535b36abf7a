package iptablestree

import (
	"bufio"
	"math"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

var _ = golden.Flag()

func TestPlan(t *testing.T) {
	spec := synth.Spec{Services: 20, Endpoints: 1, Ports: 1, Seed: 1}
	p := iptables.Planner{Dispatch: Dispatch(4)}
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), rules.Ruleset{}, rules.Ruleset{Tables: p.Plan(spec.Snapshot()).Fixed().Tables[1:]}); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "plan.txt", b.String())
}

// walked counts the rules that a packet to a leaf meets until it matches.
func walked(t *testing.T, services []rules.Rule, chains map[string]*rules.Chain, leaf rules.Rule) int {
	n := 0
	for {
		found := false
		for _, r := range services {
			n++
			if !r.Dst.Contains(leaf.Dst.Addr()) {
				continue
			}
			if r == leaf {
				return n
			}
			if c := chains[r.Chain]; c != nil {
				services, found = c.Rules, true
				break
			}
		}
		if !found {
			t.Fatalf("leaf %s is not reached", leaf.Dst)
		}
	}
}

// TestDepth: every leaf is reached, and the walk grows with the logarithm.
func TestDepth(t *testing.T) {
	for _, fanout := range []int{2, 4, 8, 16, 256} {
		for _, n := range []int{1, 100, 5000} {
			spec := synth.Spec{Services: n, Endpoints: 1, Ports: 1, Seed: 1}
			var leaves []rules.Rule
			for _, svc := range spec.Snapshot().Services {
				leaves = iptables.AppendLeaves(leaves, svc)
			}
			top, list := Dispatch(fanout)(leaves)
			chains := map[string]*rules.Chain{}
			for _, c := range list {
				if len(c.Name) > 28 || chains[c.Name] != nil || len(c.Rules) > max(fanout, 3) {
					t.Fatalf("chain %s of %d rules cannot be", c.Name, len(c.Rules))
				}
				chains[c.Name] = c
			}
			most := 0
			for _, l := range leaves {
				most = max(most, walked(t, top, chains, l))
			}
			levels := math.Ceil(math.Log(float64(len(leaves))+1)/math.Log(float64(fanout))) + 2
			if limit := int(levels) * fanout; most > limit {
				t.Errorf("fan-out %d, %d services: %d rules walked, more than %d", fanout, n, most, limit)
			}
		}
	}
}

func TestFanouts(t *testing.T) {
	m := Mode()
	for v, ok := range map[string]bool{"2": true, "8": true, "256": true, "0": false, "1": false, "3": false, "512": false, "-8": false, "many": false} {
		if err := m.CheckArgs(modes.Args{FanoutParam: v}, ""); (err == nil) != ok {
			t.Errorf("fan-out %s: %v", v, err)
		}
	}
	if fanoutOf(nil) != DefaultFanout || fanoutOf(modes.Args{FanoutParam: "32"}) != 32 {
		t.Errorf("fan-outs %d and %d", fanoutOf(nil), fanoutOf(modes.Args{FanoutParam: "32"}))
	}
}
