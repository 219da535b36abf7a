package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"viplab/lab/play"
	"viplab/lab/session"
	"viplab/lab/testbed"
	"viplab/modes"
	"viplab/modes/catalog"
)

// TestScenariosOfModes: of all scenarios those are left out that the modes asked for cannot
// serve; one that was named is refused, and so is what is wrong with all of them.
func TestScenariosOfModes(t *testing.T) {
	scripts, err := play.All(catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode, kernels string
		all           bool
		out, says     string // the scenarios that are left out; what is said
	}{
		{"userspace", session.KernelAuto, true, "node-local weights", "scenario node-local was left out: step 5 (policy local 2)"},
		{"nftables", session.KernelAuto, true, "weights", "scenario weights was left out: scheduler is for mode ipvs"},
		{"ipvs", session.KernelAuto, true, "", ""},
		{"userspace", session.KernelAuto, false, "all", "step 5 (policy local 2)"},
		{"ipvs", "7.3,7.3", true, "all", "is given twice"},
	} {
		f := scenarioFlags{app: app{modes: catalog.All()}, testbed: testbed.Auto, kernels: strings.Split(c.kernels, ","), only: []string{c.mode}, seed: 1}
		var stderr bytes.Buffer
		played, err := f.playable(scripts, c.all, &stderr)
		var out []string
		for _, s := range scripts {
			if !slices.ContainsFunc(played, func(p play.Script) bool { return p.Name == s.Name }) {
				out = append(out, s.Name)
			}
		}
		if c.out == "all" {
			if len(played) > 0 || err == nil || exitCode(err) != ExitUsage || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: %d are played, %v", c, len(played), err)
			}
		} else if err != nil || strings.Join(out, " ") != c.out || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%+v: left out %v, %v: %s", c, out, err, stderr.String())
		}
	}
}

// TestScenariosThatEnd: what the machine lacks for one of all scenarios does not keep the
// others from being played, and what was judged is written whatever ends the command.
func TestScenariosThatEnd(t *testing.T) {
	lacks := &modes.MissingError{Need: "IPVS in this kernel"}
	for _, c := range []struct {
		name    string
		all     bool
		becomes map[string]error // of a scenario; nil for one that holds
		played  string
		code    int
	}{
		{"all hold", true, nil, "a b c", ExitOK},
		{"one lacks something", true, map[string]error{"a": lacks}, "b c", ExitSkipped},
		{"one lacks something, one does not hold", true, map[string]error{"a": lacks, "b": thresholdError{}}, "b c", ExitVerdict},
		{"all lack something", true, map[string]error{"a": lacks, "b": lacks, "c": lacks}, "", ExitSkipped},
		{"one by name lacks something", false, map[string]error{"b": lacks}, "a", ExitSkipped},
		{"a trial fails", true, map[string]error{"a": lacks, "c": errors.New("1 of 2 trials failed")}, "b", ExitFailure},
		{"interrupted", true, map[string]error{"c": &interruptedError{"interrupted"}}, "a b", ExitFailure},
	} {
		one := func(_ context.Context, s play.Script, _ io.Writer) (play.Outcome, error) {
			err := c.becomes[s.Name]
			if errors.As(err, &thresholdError{}) {
				return play.Outcome{Script: s, Checks: []play.Check{{}}}, nil
			}
			return play.Outcome{Script: s, Checks: []play.Check{{Held: true}}}, err
		}
		f := scenarioFlags{app: app{modes: catalog.All()}, out: filepath.Join(t.TempDir(), "out"), json: true}
		j := judged{skips: c.all}
		var stdout, stderr bytes.Buffer
		err := f.each(t.Context(), []play.Script{{Name: "a"}, {Name: "b"}, {Name: "c"}}, &j, one, &stdout, &stderr)
		if err = errors.Join(err, f.write(&j, &stdout)); err == nil {
			err = j.verdict(nil)
		}
		code := ExitOK
		if err != nil {
			code = exitCode(err)
		}
		if code != c.code {
			t.Errorf("%s: exit %d, %v", c.name, code, err)
		}
		var written []struct{ Scenario string }
		var names []string
		if stdout.Len() > 0 {
			if err := json.Unmarshal(stdout.Bytes(), &written); err != nil {
				t.Fatal(err)
			}
		}
		text, _ := os.ReadFile(filepath.Join(f.out, "scenario.md"))
		for _, o := range written {
			names = append(names, o.Scenario)
			if !strings.Contains(string(text), "## "+o.Scenario+"\n") {
				t.Errorf("%s: scenario %s is not in scenario.md", c.name, o.Scenario)
			}
		}
		if got := strings.Join(names, " "); got != c.played {
			t.Errorf("%s: written of %q, not %q", c.name, got, c.played)
		}
		if skipped := strings.Count(stderr.String(), "was skipped: missing: IPVS"); c.all && c.becomes["a"] != nil && skipped == 0 {
			t.Errorf("%s: stderr %q", c.name, stderr.String())
		}
	}
}
