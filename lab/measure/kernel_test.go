package measure_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/lab/measure"
	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/direct"
	"viplab/modes/ebpf"
	"viplab/modes/iptables"
	"viplab/modes/modetest"
	"viplab/modes/snapshot/synth"
	"viplab/results"
	"viplab/workload"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// eachMode tests every mode of the lab that can run here.
func eachMode(t *testing.T, list catalog.Catalog, test func(*testing.T, modes.Mode)) {
	for _, m := range list {
		t.Run(m.Name, func(t *testing.T) { test(t, m) })
	}
}

// events reads what was said.
func events(t *testing.T, out *bytes.Buffer) (list []trial.Event) {
	t.Helper()
	for line := range bytes.Lines(out.Bytes()) {
		var ev trial.Event
		if err := json.Unmarshal(line, &ev); err != nil {
			t.Fatal(err)
		}
		list = append(list, ev)
	}
	return list
}

// TestLive runs the steady client beside full syncs.
func TestLive(t *testing.T) {
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 20, Endpoints: 2, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	out := b.Record()
	b.Plan.Live = 3 * time.Second
	if err := measure.Live().Run(t.Context(), b.Stage); err != nil {
		t.Fatal(err)
	}
	const rate = 200 // requests a second
	var answered float64
	refreshes := 0
	for _, ev := range events(t, out) {
		switch r := ev.Record; r.Metric {
		case results.TPS:
			for _, v := range r.Values {
				answered += v / 10
			}
		case results.RefreshSeconds:
			refreshes = len(r.Values)
		case results.LiveLost:
			if r.Values[0] != 0 {
				t.Errorf("%v requests were lost", r.Values[0])
			}
		}
	}
	// Those of the last moments may be answered after the last bin, and on a busy machine many.
	if answered < 3*rate/2 || refreshes == 0 {
		t.Errorf("%.0f requests answered of %d, %d full syncs", answered, 3*rate, refreshes)
	}
}

// TestChurn: changes that arrive at a rate are all programmed, and in the end all is
// served as before.
func TestChurn(t *testing.T) {
	eachMode(t, catalog.All().Serving(), func(t *testing.T, m modes.Mode) {
		b := modetest.NewRig(t, m, nil, synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1})
		b.Program(b.Snapshot)
		out := b.Record()
		b.Plan.ChurnRate, b.Plan.Churn, b.Plan.MinSync = 20, time.Second, 200*time.Millisecond
		if err := measure.Churn().Run(t.Context(), b.Stage); err != nil {
			t.Fatal(err)
		}
		delays := slices.IndexFunc(events(t, out), func(ev trial.Event) bool {
			return ev.Record != nil && ev.Record.Metric == results.ChangeDelay && len(ev.Record.Values) == 20
		})
		if delays < 0 {
			t.Errorf("no delay for each of 20 changes: %s", out.String())
		}
		if err := b.Validate(true); err != nil {
			t.Error(err)
		}
	})
}

// TestTrial runs a whole trial of each mode, as bench does.
func TestTrial(t *testing.T) {
	eachMode(t, catalog.All(), func(t *testing.T, m modes.Mode) {
		modetest.NewRig(t, m, nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1}) // skips where the mode is missing
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		spec := trial.Spec{ID: "t", Mode: m.Name, Testbed: inside.Testbed(), Synth: synth.Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 1},
			Plan: trial.Plan{FullSyncs: 2, Deltas: 1, Packets: 3, Warmup: 1, Connect: 50 * time.Millisecond, Workers: 2, Iperf: time.Second}}
		job := trial.Job{Trials: []trial.Spec{spec}, ProxyCommand: []string{self, testbed.RoleProxy}}
		if err := trial.RunJob(t.Context(), catalog.All(), measure.All(), job, trial.NewEmitter(&out)); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, ev := range events(t, &out) {
			if r := ev.Record; r != nil {
				seen[r.Metric] += max(1, len(r.Values))
				if r.Err != "" {
					t.Errorf("the trial failed: %s", r.Err)
				}
			}
		}
		want := map[string]int{results.FirstPacket: 30 + 4*3, results.EstablishedPacket: 18, results.ConnectionsRate: 1, results.Throughput: 2, results.Done: 1}
		if !m.Baseline {
			want[results.SyncFull] = 2
			// Cheap changes are made again: how often is for the clock to say.
			if d, right := seen[results.SyncDelta], seen[results.FirstCorrect]; d < 4 || d > 20 || d%2 != 0 || right <= d/2 || right >= d {
				t.Errorf("%d changes and %d first right answers, which all but deleted Services have", d, right)
			}
		}
		for metric, n := range want {
			if seen[metric] != n {
				t.Errorf("%s: %d samples, want %d", metric, seen[metric], n)
			}
		}
	})
}

// TestFromHome: whatever is measured with clients of a mode that serves the node alone says so.
func TestFromHome(t *testing.T) {
	b := modetest.NewRig(t, ebpf.Mode(), modes.Args{ebpf.AttachParam: string(ebpf.Socket)}, synth.Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	out := b.Record()
	b.Plan.Deltas, b.Plan.Live = 1, time.Second
	for _, m := range []trial.Measurement{measure.Deltas(), measure.Live(), measure.Evenness()} {
		if err := m.Run(t.Context(), b.Stage); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	seen := map[string]string{}
	for _, ev := range events(t, out) {
		if r := ev.Record; r != nil {
			seen[r.Metric] = r.Factors[results.From]
		}
	}
	for _, metric := range []string{results.FirstCorrect, results.TPS, results.LiveLatency, results.LiveService, results.LiveStall, results.LiveLost, results.Evenness} {
		if from := seen[metric]; from != string(modes.FromNode) {
			t.Errorf("%s is from %q", metric, from)
		}
	}
	if from := seen[results.SyncDelta]; from != "" {
		t.Errorf("a sync, which has no clients, is from %q", from)
	}
}

// TestPortsExhausted: a client that runs out of ports says so.
func TestPortsExhausted(t *testing.T) {
	b := modetest.NewRig(t, direct.Mode(), nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
	b.Plan.Connect, b.Plan.Workers = 100*time.Millisecond, 4
	err := b.Net.Client.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := workload.Quiet(func() error { return measure.Connections().Run(t.Context(), b.Stage) }); err == nil || !strings.Contains(err.Error(), "local ports are exhausted") {
		t.Errorf("got %v", err)
	}
}
