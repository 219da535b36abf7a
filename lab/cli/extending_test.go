package cli

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/lab/testbed"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
	"viplab/modes/pipe"
)

// twin is a mode that is known here only: the rules of mode iptables under another name,
// with two parameters.
func twin() modes.Mode {
	return modes.Mode{
		Name:     "twin",
		Summary:  "the rules of mode iptables, for an example",
		DataPath: "O(N) rules",
		Params: []modes.Param{
			{Name: "temper", Help: "how the twin feels", Values: []string{"calm", "cross"}, Default: "calm"},
			{Name: "hat", Help: "what the twin wears", Values: []string{"none", "bowler", "fez"}, Default: "none"},
		},
		Needs:  []string{"iptables"},
		Like:   "iptables",
		Limits: iptables.Limits(),
		New: func(_ modes.Args, m modes.Machine) modes.Proxier {
			return iptables.New(nil, iptables.Restorer{Family: m.Family})
		},
		Program: func(_ modes.Args, s modes.Snapshot, _ netip.Addr) modes.Program {
			return iptables.Program(nil, s)
		},
	}
}

// known are the modes of this test binary, also where it is started again inside a
// testbed.
func known() catalog.Catalog { return append(catalog.All(), twin()) }

// dying is a mode that is a program which ends before it greets.
func dying() modes.Mode {
	limits := modes.Limits{modes.ServesIPv6: "not written yet"}
	return modes.Mode{
		Name: "dying", Summary: "ends at once", DataPath: "none", Limits: limits,
		New: func(_ modes.Args, m modes.Machine) modes.Proxier {
			return pipe.New(pipe.Options{Mode: "dying", Command: []string{"false"}, Family: m.Family, Limits: limits})
		},
	}
}

// besides runs a command with mode dying beside the others.
func besides(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(append(known(), dying()), args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestExplainWithout: a mode that does not say what it programs keeps none of the others from
// being explained, unless it was asked for.
func TestExplainWithout(t *testing.T) {
	code, out, errs := besides(t, "explain", "--services", "1")
	if code != 0 || !strings.Contains(out, "## twin") || errs != "left out: mode dying cannot be followed without a kernel: it does not say what it programs\n" {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	if code, _, errs := besides(t, "explain", "--modes", "twin,dying"); code != 2 || !strings.Contains(errs, "mode dying cannot be followed") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// TestWithoutIPv6: a mode that says it has no IPv6 is refused before anything runs.
func TestWithoutIPv6(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, family := range []string{"ipv6", "dual", "ipv4,ipv6"} {
		code, _, errs := besides(t, "bench", "--modes", "direct,dying", "--family", family, "--testbed", "native")
		want := "viplab: mode dying cannot serve family " + family[strings.Index(family, ",")+1:] + ": IPv6: not written yet\n"
		if code != 2 || errs != want {
			t.Errorf("%s: exit %d, %s", family, code, errs)
		}
	}
	if code, _, errs := besides(t, "exec", "--mode", "dying", "--family", "dual", "--", "true"); code != 2 || !strings.Contains(errs, "cannot serve family dual") {
		t.Errorf("exec: exit %d, %s", code, errs)
	}
	if v := (app{modes: catalog.Catalog{dying()}}).tried(); len(v) != 1 {
		t.Errorf("the doctor asks for %v", v)
	}
}

// TestWithoutIPv6Unnamed: where no modes are named, one without IPv6 is left out of the run, with
// a line that says so.
func TestWithoutIPv6Unnamed(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := (testbed.Native{}).Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: testbed native: %v", err)
	}
	var out, errs bytes.Buffer
	some := catalog.Catalog{catalog.All()[0], dying()}
	code := Run(some, []string{"bench", "--family", "ipv6", "--testbed", "native", "--services", "1", "--quick", "--repeat", "1"}, &out, &errs)
	want := "mode dying was left out: mode dying cannot serve family ipv6: IPv6: not written yet\n"
	if code != 0 || strings.Count(errs.String(), want) != 1 {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}

// TestDying: a mode whose program dies keeps none of the others from being tried and measured.
func TestDying(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := (testbed.Native{}).Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: testbed native: %v", err)
	}
	var out bytes.Buffer
	can := map[string]bool{}
	some := catalog.Catalog{catalog.All()[0], dying()}
	app{modes: some}.try(t.Context(), func(f finding) { fmt.Fprintln(&out, f) }, labelled{Testbed: testbed.Native{}, label: "native"}, can)
	if text := out.String(); !can["direct"] || can["dying"] || !strings.Contains(text, "cannot run: start by false: it ended") {
		t.Errorf("%v\n%s", can, text)
	}
	bench := []string{"bench", "--modes", "direct,dying", "--testbed", "native", "--services", "1", "--quick", "--repeat", "1"}
	if code, _, errs := besides(t, append(bench, "--out", "a")...); code != 3 || !strings.Contains(errs, "1 of 2 trials failed, the first: dying-n1-r0") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if code, _, errs := besides(t, append(bench, "--out", "b", "--on-missing", "skip")...); code != 0 || !strings.Contains(errs, "mode dying was left out: cannot run: start by false") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// TestOneMoreMode: a mode costs one package and one line of the catalog. One that nothing
// else was told of goes through everything that modes go through.
func TestOneMoreMode(t *testing.T) {
	t.Chdir(t.TempDir())
	viplab := func(want int, args ...string) string {
		t.Helper()
		cmd := program(t, args...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Fatalf("viplab %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, want, out)
		}
		return string(out)
	}
	contains := func(text string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	contains(viplab(0, "modes"), "twin", "--temper calm,cross (default calm)", "--hat none,bowler,fez")
	contains(viplab(0, "explain", "--modes", "twin", "--hat", "fez"), "## twin hat=fez", "KUBE-SVC-")
	viplab(0, "story", "--modes", "twin", "all") // by its likeness
	contains(viplab(2, "simulate", "--modes", "twin", "--services", "5"), "mode twin cannot be simulated")
	contains(viplab(2, "bench", "--modes", "twin", "--hat", "crown"), `unknown hat "crown": valid are none, bowler, fez`)
	if err := os.WriteFile("c.yaml", []byte("modes: [direct, twin]\nservices: [3]\nrepeat: 2\ntemper: [calm, cross]\nhat: fez\nquick: true\ntestbed: native\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := program(t, "bench", "--config", "c.yaml", "--out", "run").CombinedOutput()
	if strings.Contains(string(out), "missing:") {
		t.Skipf("SKIPPED: mode twin on testbed native: %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	report, err := os.ReadFile(filepath.Join("run", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	contains(string(report), "| direct | twin hat=fez | twin hat=fez temper=cross |", "## 3 Services", "viplab bench --config c.yaml")
	contains(viplab(0, "report", "run"), "report.html")
	contains(viplab(0, "bench", "--resume", "run"), "0 trials", "report.html")
	contains(viplab(0, "compare", "run", "run", "--all"), "mode=twin", "temper=cross")
}
