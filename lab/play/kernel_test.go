package play_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"viplab/lab/play"
	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/trial"
	"viplab/modes/catalog"
	"viplab/modes/modetest"
	"viplab/modes/snapshot/synth"
	"viplab/results"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// TestScenarios plays every scenario in haste and asks that each quantity of which it
// expects something was measured in some phase, not what came out: that is for times in
// which nothing else runs, and without haste.
func TestScenarios(t *testing.T) {
	name := "iptables"
	if inside.Testbed() == testbed.UMLName {
		name = "ipvs"
	}
	mode, err := catalog.All().Find(name)
	if err != nil {
		t.Fatal(err)
	}
	all, err := play.All(catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Patient || !slices.Contains(s.Modes, name) {
			continue // or of TestScenarioInTimeTravel
		}
		t.Run(s.Name, func(t *testing.T) {
			s = s.Shorter(0.2)
			b := modetest.NewRig(t, mode, nil, synth.Spec{Services: s.Services, Endpoints: s.Endpoints, Ports: 1, Seed: 1})
			b.Program(b.Snapshot)
			out := b.Record()
			if b.Plan.Script, err = json.Marshal(s); err != nil {
				t.Fatal(err)
			}
			if err := play.Play().Run(t.Context(), b.Stage); err != nil {
				t.Fatal(err)
			}
			measured := map[string]bool{}
			for line := range bytes.Lines(out.Bytes()) {
				var ev trial.Event
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
				if len(e.Modes) > 0 && !slices.Contains(e.Modes, name) || optional {
					continue
				}
				if !measured[e.Quantity] {
					t.Errorf("%s was not measured in any phase", e.Quantity)
				}
			}
		})
	}
}
