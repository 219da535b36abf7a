package explain_test

import (
	"net/netip"
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
			if slices.ContainsFunc(w.Steps, func(s modes.Step) bool { return s.Chain == "" }) {
				t.Errorf("%s, %s: a step is nowhere: %+v", a.Mode, w.Case, w.Steps)
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

// TestWrongPort: the wrong port is none of the Service's own, nor 0.
func TestWrongPort(t *testing.T) {
	for _, c := range []struct {
		want  uint16
		ports []uint16
	}{
		{1080, []uint16{80}}, {1082, []uint16{1081, 81, 80, 1080, 80}}, {3, []uint16{1, 2, 64536}}, {466, []uint16{465, 464, 65000}},
	} {
		svc := modes.Service{Namespace: "x", Name: "a", ClusterIP: netip.MustParseAddr("10.96.0.1")}
		for _, port := range c.ports {
			svc.Ports = append(svc.Ports, modes.ServicePort{Protocol: modes.TCP, Port: port, TargetPort: 8080})
		}
		q := explain.Question{Given: &modes.Snapshot{Services: []*modes.Service{&svc}}}
		if got := q.Flow(explain.WrongPort).Dst.Port(); got != c.want {
			t.Errorf("of %v the wrong port is %d, want %d", c.ports, got, c.want)
		}
	}
}
