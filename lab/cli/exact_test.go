package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"testing"

	"viplab/lab/roles"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/results"
)

// exactly runs one trial where time is virtual and returns what it recorded.
func exactly(t *testing.T) (out []results.Record) {
	self, err := os.Executable()
	if err != nil {
		t.Error(err)
		return nil
	}
	input, err := json.Marshal(trial.Job{Trials: []trial.Spec{{ID: "one", Mode: "iptables", Testbed: testbed.ExactName,
		Synth: synth.Spec{Services: 20, Endpoints: 2, Ports: 1, Seed: 1}, Plan: trial.Plan{FullSyncs: 1, Packets: 5, Warmup: 1}}}})
	if err != nil {
		t.Error(err)
		return nil
	}
	var stdout, stderr bytes.Buffer
	code, err := testbed.QEMU{Exact: true}.Run(t.Context(), testbed.Command{Args: []string{self, roles.Trials}, Stdin: input, Stdout: &stdout, Stderr: &stderr})
	if err != nil || code != 0 {
		t.Errorf("exit %d, %v: %s", code, err, stderr.String())
	}
	for line := range bytes.Lines(stdout.Bytes()) {
		var ev trial.Event
		if err := json.Unmarshal(line, &ev); err != nil {
			t.Error(err)
		} else if ev.Record != nil {
			out = append(out, *ev.Record)
		}
	}
	return out
}

// TestExact: two runs in which time is virtual agree to 0.1 % in every figure.
func TestExact(t *testing.T) {
	if err := (testbed.QEMU{}).Probe(t.Context()); modes.IsMissing(err) {
		t.Skipf("SKIPPED: testbed qemu: %v", err)
	}
	if testing.Short() {
		t.Skip("SKIPPED: testbed qemu takes a minute and more: make test-exact")
	}
	var runs [2][]results.Record
	var both sync.WaitGroup
	for i := range runs {
		both.Go(func() { runs[i] = exactly(t) })
	}
	both.Wait()
	packets := 0
	for i, r := range runs[0] {
		if i >= len(runs[1]) || r.Cell() != runs[1][i].Cell() || r.Err != "" || len(r.Values) != len(runs[1][i].Values) {
			t.Fatalf("%s (%s) has no counterpart", r.Cell(), r.Err)
		}
		if r.Metric == results.FirstPacket {
			packets += len(r.Values)
		}
		for k, v := range r.Values {
			if off := runs[1][i].Values[k] - v; off > v/1000 || off < -v/1000 {
				t.Errorf("%s: %g, and then %g", r.Cell(), v, runs[1][i].Values[k])
			}
		}
	}
	if packets < 50 || !slices.ContainsFunc(runs[0], func(r results.Record) bool { return r.Metric == results.Done }) {
		t.Errorf("%d first packets in %d records", packets, len(runs[0]))
	}
}

// TestExactAlone: exact figures are of one testbed, which is not chosen by itself.
func TestExactAlone(t *testing.T) {
	for want, args := range map[string][]string{
		"--exact is for --testbed qemu": {"bench", "--exact"},
		"has one of its own":            {"bench", "--testbed", "qemu", "--kernel", "debian"},
		"takes no input":                {"exec", "--testbed", "qemu", "--", "true"},
	} {
		code, _, stderr := run(t, args...)
		if code != ExitUsage || !bytes.Contains([]byte(stderr), []byte(want)) {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
}
