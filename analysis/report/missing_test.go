package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"viplab/results"
)

// asked is a run that was asked for two modes at two sizes in two rounds.
func askedFor(records ...results.Record) *results.Run {
	return &results.Run{Records: records, Config: map[string]any{
		"repeat": 2, "services": []any{1, 500},
		results.ConfigVariants: []any{map[string]any{results.Mode: "ipvs"}, map[string]any{results.Mode: "iptables"}},
	}}
}

func done(mode, services string, round int, failure string) results.Record {
	return results.Record{Metric: results.Done, Variant: results.Variant{results.Mode: mode, results.Testbed: "uml"}, Round: round,
		Factors: map[string]string{results.Services: services}, Trial: fmt.Sprint(mode, services, round), Err: failure}
}

// TestMissingOfDefaults: what has its default is in no variant, and is not taken for one that
// says more.
func TestMissingOfDefaults(t *testing.T) {
	run := &results.Run{Config: map[string]any{"repeat": 2, "services": []any{500},
		results.ConfigVariants: []any{map[string]any{results.Mode: "ipvs"}, map[string]any{results.Mode: "ipvs", "scheduler": "sh"}}}}
	for round := range 2 {
		rr, sh := done("ipvs", "500", round, ""), done("ipvs", "500", round, "")
		sh.Variant = results.Variant{results.Mode: "ipvs", results.Testbed: "uml", "scheduler": "sh"}
		if round == 1 {
			sh.Err = "no room"
		}
		run.Records = append(run.Records, rr, sh)
	}
	if got := missing(run); len(got) != 2 || got[1] != "ipvs scheduler=sh: at 500 only 1 of 2 rounds. It failed: no room." {
		t.Errorf("%q", got)
	}
}

// TestMissing: a run that was cut off says what is missing, by name and why.
func TestMissing(t *testing.T) {
	var whole []results.Record
	for _, mode := range []string{"ipvs", "iptables"} {
		for _, n := range []string{"1", "500"} {
			for round := range 3 { // one more than was asked for
				whole = append(whole, done(mode, n, round, ""))
			}
		}
	}
	if got := missing(askedFor(whole...)); len(got) > 0 {
		t.Errorf("nothing is missing, and yet: %q", got)
	}
	cut := []results.Record{
		done("ipvs", "1", 0, ""), done("ipvs", "1", 1, ""), done("ipvs", "500", 0, ""), done("iptables", "1", 0, "no room\nat all"),
		{Metric: results.Ended, Err: "its time was up (--max-time 5m0s)"},
	}
	want := []string{
		"Not all of it was measured. Asked for: 2 modes (ipvs, iptables) at 2 sizes (1, 500) in 2 rounds, 8 trials. " +
			"Measured: 3; failed: 1; not run: 4, because its time was up (--max-time 5m0s).",
		"ipvs: at 500 only 1 of 2 rounds.",
		"iptables: nothing at 1, 500 Services. It failed: no room.",
	}
	if got := missing(askedFor(cut...)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := missing(askedFor(cut[:4]...)); !strings.Contains(got[0], "the run was killed, or still goes on") {
		t.Errorf("of a killed run: %q", got[0])
	}
	if got := missing(&results.Run{Config: map[string]any{}}); len(got) > 0 {
		t.Errorf("nothing is known of what was asked for, and yet: %q", got)
	}
	both := &results.Run{Parts: []results.Part{{Name: "a", Run: askedFor(whole...)}, {Name: "b", Run: askedFor(cut...)}}}
	if got := missing(both); len(got) != 3 || !strings.HasPrefix(got[0], "b: Not all") {
		t.Errorf("of two runs: %q", got)
	}
}

// TestEnvironments: of several runs each one's machine is stated, and once what is the same.
func TestEnvironments(t *testing.T) {
	a, b := &results.Run{Env: results.Env{CPU: "one", Go: "go1", Testbed: "uml"}}, &results.Run{Env: results.Env{CPU: "other", Go: "go1"}}
	both := &results.Run{Env: a.Env, Parts: []results.Part{{Name: "a", Run: a}, {Name: "b", Run: b}}}
	got := environments(both)
	for _, want := range [][2]string{{"CPU, a", "0 × one"}, {"CPU, b", "0 × other"}, {"Go", "go1"}} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	var lines []string
	for _, p := range both.All() {
		lines = append(lines, ran(p)...)
	}
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "Ran a: ") || !strings.HasPrefix(lines[1], "Ran b: on a machine that is not known") {
		t.Errorf("%q", lines)
	}
}

// TestPlainText: what comes from records stays text in report.md.
func TestPlainText(t *testing.T) {
	for text, want := range map[string]string{
		"<script>alert(1)</script>": "&lt;script>alert(1)&lt;/script>",
		"a | b":                     `a \| b`,
		"![x](http://y)":            `![x]\(http://y)`,
		"two\nlines\x1b[31m":        "two lines [31m",
		"# no title":                `\# no title`,
		"**bold** `code`":           "\\*\\*bold\\*\\* \\`code\\`",
		"2.9 ms [2.1, 3.4]":         "2.9 ms [2.1, 3.4]",
	} {
		if got := plainText(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
