package report

import (
	"strings"
	"testing"

	"viplab/analysis/summary"
	"viplab/results"
)

// TestMachineTables: a figure that follows the machine's speed is given relative to it, one
// that does not is not, and the table of the time has each step.
func TestMachineTables(t *testing.T) {
	var records []results.Record
	variant := results.Variant{results.Mode: "iptables"}
	add := func(metric string, round int, at map[string]string, v float64) {
		at[results.Services] = "5000"
		records = append(records, results.Record{Metric: metric, Variant: variant, Factors: at, Round: round, Values: []float64{v, v}})
	}
	for round, speed := range []float64{1, 1.3, 0.9, 1.1, 1.25, 0.95} {
		add(results.MachineStep, round, map[string]string{results.Loop: "walk"}, 2e-9*speed)
		add(results.FirstPacket, round, map[string]string{results.Position: "last", results.Protocol: "tcp", results.From: "client"}, 1e-4*speed)
		add(results.SyncFull, round, map[string]string{}, 2+0.001*float64(round))
		add(results.TrialSeconds, round, map[string]string{results.Step: "program"}, 2)
	}
	s, err := summary.Make(records)
	if err != nil {
		t.Fatal(err)
	}
	series := s.Series()
	rel := relative(s, series, 5000)
	if rel == nil || len(rel.Rows) != 1 || rel.Rows[0][1].Text != "first packet, last Service, TCP" || rel.Rows[0][2].Text != "50000" {
		t.Errorf("relative: %+v", rel)
	}
	if m := machine(s); m == nil || len(m.Rows) != 1 || m.Rows[0][1].Text != "2.10 ns" || !strings.HasPrefix(m.Rows[0][2].Text, "23.8") {
		t.Errorf("machine: %+v", m)
	}
	if loop, by := strayLoop(s); loop != "walk" || by < 0.2 {
		t.Errorf("strayed: %s by %g", loop, by)
	}
	if sp := spent(s, series); sp == nil || len(sp.Rows) != 1 || sp.Rows[0][2].Text != "24" {
		t.Errorf("spent: %+v", sp)
	}
}
