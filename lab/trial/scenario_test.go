package trial

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"viplab/lab/scenario"
	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/modes/catalog"
	"viplab/modes/synth"
	"viplab/results"
)

// TestScenarios plays every scenario in haste and asks that each quantity of which it
// expects something was measured in some phase, not what came out: that is for times in
// which nothing else runs, and without haste.
func TestScenarios(t *testing.T) {
	mode := "iptables"
	if inside.Testbed() == testbed.UMLName {
		mode = "ipvs"
	}
	all, err := scenario.All(catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if !slices.Contains(s.Modes, mode) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			s = s.Shorter(0.2)
			b := setUp(t, mode, synth.Spec{Services: s.Services, Endpoints: s.Endpoints, Ports: 1, Seed: 1})
			b.sync(b.snap)
			var out bytes.Buffer
			b.out, b.Plan = NewEmitter(&out), Plan{Script: &s}
			if err := b.scenario(t.Context()); err != nil {
				t.Fatal(err)
			}
			measured := map[string]bool{}
			for line := range bytes.Lines(out.Bytes()) {
				var ev Event
				if err := json.Unmarshal(line, &ev); err != nil {
					t.Fatal(err)
				}
				if ev.Record != nil && ev.Record.Metric == results.Scenario {
					measured[ev.Record.Factors[results.Quantity]] = true
				}
			}
			for _, e := range s.Expect {
				// A share of so few requests, or how long those took that failed, may have
				// nothing to it.
				optional := slices.Contains([]string{"even", "giveup", "busiest", "p50", "p99"}, e.Quantity)
				if len(e.Modes) > 0 && !slices.Contains(e.Modes, mode) || optional {
					continue
				}
				if !measured[e.Quantity] {
					t.Errorf("%s was not measured in any phase", e.Quantity)
				}
			}
		})
	}
}
