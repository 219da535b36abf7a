package measure_test

import (
	"context"
	"testing"
	"time"

	"viplab/lab/trial"
	"viplab/modes/iptables"
	"viplab/modes/modetest"
	"viplab/modes/snapshot/synth"
	"viplab/results"
)

// Dumps times what it takes to read back all that a mode has programmed.
func Dumps() trial.Measurement {
	return trial.Measurement{
		Name:   "reading back",
		Wanted: func(st *trial.Stage) bool { return st.Serves() && st.Plan.Packets > 0 },
		Run: func(ctx context.Context, st *trial.Stage) error {
			start := time.Now()
			err := st.Net.Node.Do(func() error {
				_, err := st.Proxier.Dump(ctx)
				return err
			})
			if err == nil {
				st.Record("dump_seconds", nil, time.Since(start).Seconds())
			}
			return err
		},
	}
}

// TestOneMoreMeasurement runs the example of docs/extending.md.
func TestOneMoreMeasurement(t *testing.T) {
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 2, Endpoints: 1, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	b.Plan.Packets = 1
	out := b.Record()
	if m := Dumps(); !m.Wanted(b.Stage) {
		t.Error("not wanted")
	} else if err := m.Run(t.Context(), b.Stage); err != nil {
		t.Fatal(err)
	}
	all := events(t, out)
	if len(all) != 1 || all[0].Record.Metric != "dump_seconds" || all[0].Record.Variant[results.Mode] != "iptables" || all[0].Record.Values[0] <= 0 {
		t.Errorf("recorded %s", out)
	}
}
