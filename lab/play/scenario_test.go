package play

import (
	"bytes"
	"strings"
	"testing"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
)

func TestAll(t *testing.T) {
	all, err := All(catalog.All())
	if err != nil || len(all) < 13 {
		t.Fatalf("%d scenarios, %v", len(all), err)
	}
	for _, s := range all {
		if s.Question == "" || len(s.Expect) == 0 {
			t.Errorf("%s has no question or expects nothing", s.Name)
		}
		if s.Length().Seconds() > 45 && !s.Patient {
			t.Errorf("%s waits for %s in each mode", s.Name, s.Length())
		}
	}
	if _, err := Find("nothing", catalog.All()); err == nil || !strings.Contains(err.Error(), "rolling-update") {
		t.Errorf("got %v", err)
	}
}

// TestBad: one clear sentence, with the line.
func TestBad(t *testing.T) {
	for want, text := range map[string]string{
		"line 1: unknown step \"jump\"":  "jump 3",
		"has no step":                    "question Why?",
		"takes 1 word, got 0":            "wait",
		"goes from the node alone":       "expose\ntraffic 1 fresh to nodeport@loopback",
		"over tcp or udp, not over sctp": "traffic 1 fresh over sctp",
		"no mode has a parameter":        "with speed high",
		"unknown scheduler \"best\"":     "with scheduler best",
		"want with PARAMETER VALUE":      "with scheduler",
		"want affinity off, or for":      "affinity 1500ms",
		"from 1 to 100, got \"0\"":       "weights 1 0",
		"wait, nowait or brief for the":  "append 3 maybe",
		"not from mars":                  "traffic 1 fresh from mars",
		"want policy cluster or policy":  "policy strict",
		"want traffic RATE":              "traffic 1",
		"want client inside":             "client far",
		"want a duration up to":          "wait 9h",
		"want a number from 1 to 100":    "add many",
		"uses fresh ports, reuses some":  "traffic 10 stale",
		"unknown mode":                   "modes ipvx",
		"want services N endpoints N":    "services 3",
		"unknown quantity":               "wait 1s\nexpect joy end <= 1",
		"compare by <= or >=":            "wait 1s\nexpect failed end = 1",
		"does not have phase \"dawn\"":   "wait 1s\nexpect failed dawn <= 1",
		"is no number":                   "wait 1s\nexpect failed end <= x",
		"want a number for sysctl":       "sysctl net.ipv4.icmp_ratelimit many",
		"only sysctls of the node":       "sysctl kernel.panic 1",
		"waits for 6m0s, at most 5m0s":   "wait 3m\nwait 3m\nexpect failed end <= 1",
	} {
		if _, err := Read("x", strings.NewReader(text), catalog.All()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestJudge: expectations that hold, that do not, and of what was not measured.
func TestJudge(t *testing.T) {
	s, err := Read("x", strings.NewReader("keep 1\ntraffic 5 fresh\nphase a\nwait 1s\nexpect failed a <= 0.1\nexpect newest a >= 0.5\nexpect kept end >= 1\nexpect p99 a <= 1 in iptables"), catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	var records []results.Record
	add := func(mode, phase, quantity string, v float64) {
		records = append(records, results.Record{Metric: results.Scenario, Values: []float64{v}, Variant: results.Variant{results.Mode: mode}, Factors: map[string]string{
			results.ScenarioName: "x", results.Phase: phase, results.Quantity: quantity}})
	}
	add("direct", "a", "failed", 1)
	add("ipvs", "a", "failed", 0.05)
	add("ipvs", "a", "newest", 0.4)
	add("direct", "a", "requests", 2534)
	sum, err := summary.Make(records)
	if err != nil {
		t.Fatal(err)
	}
	o := Judge(s, sum)
	failed := o.Failed()
	if len(o.Checks) != 3 || len(failed) != 2 || failed[0].Got != 0.4 || !failed[1].Missing {
		t.Errorf("%+v", o.Checks)
	}
	var out bytes.Buffer
	if err := o.Write(&out); err != nil || !strings.Contains(out.String(), "1 of 3 expectations held") || !strings.Contains(out.String(), "nothing measured") ||
		!strings.Contains(out.String(), " 2534 ") {
		t.Errorf("%v %s", err, out.String())
	}
}

// TestBadCourse: a script that cannot work is refused before it is played, with the step or
// the expectation at fault.
func TestBadCourse(t *testing.T) {
	for text, want := range map[string]string{
		"remove 2\nremove 1":                 "step 2 (remove 1): the Service has 0 endpoints by then",
		"replace 3":                          "step 1 (replace 3): the Service has 2 endpoints by then",
		"add 97\nquiesce 100":                "step 2 (quiesce 100): the Service has 99 endpoints by then",
		"drain 1 1s\ndrain 2 1s":             "step 2 (drain 2 1s): the Service has 1 endpoints by then",
		"expose\npolicy local 7":             "step 2 (policy local 7): the Service has 2 endpoints by then",
		"traffic 1 fresh to nodeport":        "after the step expose",
		"traffic 1 fresh\ntraffic 1 again":   "reuses no ports",
		"remove 2\ntraffic 9 fresh from pod": "no endpoint that traffic could start from",
		"remove 2\nkeep 1":                   "step 2 (keep 1): the Service has no endpoint by then",
		"quiesce 2\nkeep 1":                  "none but drained endpoints",
		"phase a\nphase a":                   "there is a phase a already",
		"phase end":                          "phase end is what comes after the last step",
		"phase a\ntraffic off\nwait 1s":      "expects failed a <= 0: no traffic runs",
		"traffic 1 fresh\nwait 1s\nphase a\ntraffic off\nwait 1s": "no traffic runs for any time in phase a",
		"phase a\ntraffic 1 fresh":                                "no traffic runs for any time in phase a",
		"phase a\nwait 1s\nexpect kept a >= 1":                    "kept is known at the end alone",
		"phase a\nwait 1s\nexpect kept end >= 1":                  "nothing tells kept at the end",
		"phase a\nwait 1s\nexpect lost a >= 1":                    "phase a has no step overlap",
		"phase a\noverlap 1\nexpect refused a <= 0":               "phase a has no step append",
	} {
		if !strings.Contains(text, "expect") {
			text += "\nexpect failed a <= 0"
		}
		if _, err := Read("x", strings.NewReader(text), catalog.All()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
}

// TestSysctls: what the kernel may take is not refused by how it is written.
func TestSysctls(t *testing.T) {
	for _, sysctl := range []string{"net.ipv4.tcp_timestamps 0", "net.ipv4.tcp_timestamps 0x1", "net.ipv4.conf.all.medium_id -1", "net.ipv4.vs.est_cpulist 0-1",
		"net.ipv4.tcp_congestion_control reno"} {
		if _, err := Read("x", strings.NewReader("traffic 1 fresh\nphase a\nsysctl "+sysctl+"\nwait 1s\nexpect failed a <= 0"), catalog.All()); err != nil {
			t.Error(err)
		}
	}
}

// TestSuits: what a mode cannot serve is told by the step that asks for it.
func TestSuits(t *testing.T) {
	s, err := Read("x", strings.NewReader("expose\npolicy local 1\nphase a\ntraffic 5 fresh to nodeport\nwait 1s\nexpect failed a <= 0"), catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]string{"direct": "", "iptables": "", "userspace": "step 2 (policy local 1): mode userspace cannot serve"} {
		m, err := catalog.All().Find(mode)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Suits(m, nil); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("mode %s: %v", mode, err)
		}
	}
	ipvs, err := catalog.All().Find("ipvs")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Suits(ipvs, modes.Args{"forward": "dr"}); err == nil || !strings.Contains(err.Error(), "step 1 (expose)") {
		t.Errorf("a node port behind direct routing: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("question Why?\nservices 2 endpoints 2\ntraffic 10 reuse\nphase a\nadd 1\ndrain 1 1s\nlock 1s\nexpect failed a <= 0 in ipvs")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Read("fuzz", strings.NewReader(text), catalog.All()); err == nil && s.validate() != nil {
			t.Error("a scenario that is not valid was read")
		}
	})
}
