package explain_test

import (
	"slices"
	"strings"
	"testing"

	"viplab/lab/explain"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/snapshot/synth"
)

// TestNobodyServes: why a Service without endpoints does not answer can be asked; only an
// endpoint that is not there cannot dial it.
func TestNobodyServes(t *testing.T) {
	snap := synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1}.Snapshot()
	empty := *snap.Services[2]
	empty.Endpoints = nil
	snap = snap.With(&empty)
	q := explain.Question{Known: catalog.All(), Modes: catalog.All().Usual().Names(), Cases: explain.Cases(), Position: 2, Given: &snap}
	answers, err := explain.Run(q)
	if err != nil || len(answers) != len(q.Modes) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for _, a := range answers {
		var cases []string
		for _, w := range a.Ways {
			cases = append(cases, w.Case)
			if w.Fate == modes.ToEndpoint {
				t.Errorf("%s, %s: arrives at %s", a.Mode, w.Case, w.To)
			}
		}
		if slices.Contains(cases, explain.Hairpin) || !slices.Contains(cases, explain.FromClient) {
			t.Errorf("%s: %v", a.Mode, cases)
		}
	}
	q.Cases = []string{explain.Hairpin}
	if _, err := explain.Run(q); err == nil || !strings.Contains(err.Error(), "has no endpoint that could dial it") {
		t.Errorf("an endpoint that is not there dials: %v", err)
	}
	q.Position, q.Cases, q.Endpoint = 0, explain.Cases(), 2
	if _, err := explain.Run(q); err == nil || !strings.Contains(err.Error(), "no endpoint 2 among 2") {
		t.Errorf("the third of two endpoints: %v", err)
	}
}
