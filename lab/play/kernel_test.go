package play_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/lab/play"
	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
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
			s = s.Shorter(0.2, 300*time.Millisecond)
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
			for _, r := range quantities(t, out) {
				measured[r.Factors[results.Quantity]] = true
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

// quantities reads the records of what came of phases.
func quantities(t *testing.T, out *bytes.Buffer) (all []results.Record) {
	t.Helper()
	for line := range bytes.Lines(out.Bytes()) {
		var ev trial.Event
		if err := json.Unmarshal(line, &ev); err != nil {
			t.Fatal(err)
		}
		if ev.Record != nil && ev.Record.Metric == results.Scenario {
			all = append(all, *ev.Record)
		}
	}
	return all
}

// byPhase is what came of phases, by phase and quantity.
func byPhase(t *testing.T, out *bytes.Buffer) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for _, r := range quantities(t, out) {
		got[r.Factors[results.Phase]+" "+r.Factors[results.Quantity]] = r.Values[0]
	}
	return got
}

// played plays a script in mode iptables, with one Service of so many endpoints, and returns
// what was recorded.
func played(t *testing.T, name, script string, endpoints int) *bytes.Buffer {
	t.Helper()
	s, err := play.Read(name, strings.NewReader(script), catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 1, Endpoints: endpoints, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	out := b.Record()
	if b.Plan.Script, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if err := play.Play().Run(t.Context(), b.Stage); err != nil {
		t.Fatal(err)
	}
	return out
}

// localScript has traffic under policy Local, which two of four endpoints may answer, then
// the same from a pod, to which that policy does not apply.
const localScript = `question Who answers?
modes iptables
services 1 endpoints 4
client outside
expose
policy local 2
phase local
traffic 100 fresh from client to nodeport
wait 1s
traffic off
phase cluster
traffic 100 fresh from pod to nodeport
wait 1s
expect local local >= 1
`

// TestServing: quantities of a choice count the endpoints that there was to choose from.
func TestServing(t *testing.T) {
	got := byPhase(t, played(t, "local", localScript, 4))
	// Of all four the even choice of two would have no chance, and the busiest twice the mean.
	if got["local local"] != 1 || got["local even"] < 1e-6 || got["local busiest"] > 1.8 {
		t.Errorf("under policy Local: %v", got)
	}
	if got["cluster local"] > 0.8 || got["cluster even"] < 1e-6 {
		t.Errorf("under policy Cluster: %v", got)
	}
}

// silentScript has requests that nothing answers, since there is no endpoint on the node.
const silentScript = `modes iptables
services 1 endpoints 2
client outside
expose
policy local 0
phase fresh
traffic 50 fresh to nodeport
wait 2500ms
traffic off
phase reuse
traffic 50 reuse to nodeport
wait 2500ms
expect failed fresh >= 1
`

// TestOpenLoop: requests go out when they are due though those before wait for answers, and
// where ports that are reused allow that for a few only, that is told.
func TestOpenLoop(t *testing.T) {
	got := byPhase(t, played(t, "silent", silentScript, 2))
	if got["fresh failed"] != 1 || got["fresh due"] < 120 || got["fresh requests"] < 0.9*got["fresh due"] || got["fresh unsent"] != 0 {
		t.Errorf("from fresh ports: %v", got)
	}
	if got["reuse due"] < 120 || got["reuse requests"] > 30 || got["reuse unsent"] < 0.7 {
		t.Errorf("from reused ports: %v", got)
	}
}

// TestLockEnds: the lock does not outlive the script, nor one that a step ended.
func TestLockEnds(t *testing.T) {
	const script = "services 2 endpoints 2\nphase a\nlock 20s\nappend 1 brief\nexpect refused a >= 1"
	whole, err := play.Read("lock", strings.NewReader(script), catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	failing := whole
	failing.Steps = append(slices.Clone(whole.Steps[:2]), play.Step{Do: "no such step"})
	for i, s := range []play.Script{whole, failing} {
		b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 2, Endpoints: 2, Ports: 1, Seed: 1})
		b.Program(b.Snapshot)
		b.Record()
		if b.Plan.Script, err = json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		if err := play.Play().Run(t.Context(), b.Stage); (err == nil) != (i == 0) {
			t.Fatal(err)
		}
		// Killed ones give it free when the kernel is done with them.
		if out, err := exec.Command("flock", "-w", "1", "/run/xtables.lock", "true").CombinedOutput(); err != nil {
			t.Errorf("after script %d somebody has the lock: %v %s", i, err, out)
		}
	}
}

// TestCannotQuiesce: where a mode cannot, that is written down, once.
func TestCannotQuiesce(t *testing.T) {
	out := played(t, "quiet", "services 1 endpoints 3\nphase all\ntraffic 100 fresh\nquiesce 1\nquiesce 1\nwait 300ms\nexpect failed all <= 0", 3)
	if n := strings.Count(out.String(), "mode iptables cannot keep an endpoint without new connections"); n != 1 {
		t.Errorf("said %d times: %s", n, out)
	}
}

// TestOfAUser: among a user's Services, however many, traffic goes to the one made for the
// script.
func TestOfAUser(t *testing.T) {
	s, err := play.Read("even", strings.NewReader("services 1 endpoints 3\nphase all\ntraffic 100 fresh\nwait 1s\nexpect even all >= 0.000001"), catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, services := range []int{3, 4} {
		b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: services, Endpoints: 2, Ports: 1, Seed: 1, Affinity: time.Hour})
		if b.Given, err = (trial.Input{Name: "theirs", Times: 1, Extra: s.Endpoints}).Set(b.Snapshot, modes.IPv4); err != nil {
			t.Fatal(err)
		}
		b.Snapshot = b.Given.Snapshot
		b.Program(b.Snapshot)
		out := b.Record()
		if b.Plan.Script, err = json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		if err := play.Play().Run(t.Context(), b.Stage); err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, r := range quantities(t, out) {
			got[r.Factors[results.Quantity]] = r.Values[0]
		}
		if got["failed"] != 0 || got["even"] < 1e-6 || got["sticky"] > 0.9 || got["busiest"] == 0 || got["busiest"] > 1.8 {
			t.Errorf("among %d Services: %v", services, got)
		}
	}
}
