package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunsAndPack: a run is listed, named, found by its names, packed once, and not pruned as
// long as it has a name; what tables say, JSON says too.
func TestRunsAndPack(t *testing.T) {
	old := oldRun(t)
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(runsDir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(runsDir, "one"), os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	must := func(want string, args ...string) string {
		t.Helper()
		code, out, errs := run(t, args...)
		if code != ExitOK || !strings.Contains(out, want) {
			t.Errorf("%v: exit code %d, %q %q", args, code, out, errs)
		}
		return out
	}
	if err := os.CopyFS(filepath.Join(runsDir, "20261125T200144Z-8423f3"), os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	if out := must("20261125T200144Z-8423f3\n", "runs", "prune", "--keep", "0", "--delete"); strings.Contains(out, "one") {
		t.Errorf("a folder that somebody named was pruned: %s", out)
	}
	if _, _, errs := run(t, "runs", "prune", "--keep", "0"); !strings.Contains(errs, "nothing to delete: of 1 runs") {
		t.Errorf("nothing to delete: %q", errs)
	}
	must("", "runs", "name", "one", "before")
	if out := must("", "runs", "prune", "--keep", "0", "--delete"); out != "" {
		t.Errorf("a run with a name was pruned: %s", out)
	}
	must("before", "runs")
	for _, args := range []string{"compare --all one before", "report before --out again", "report one", "advise before", "advise --services 50 one", "simulate --services 50 --calibrate before"} {
		must("", strings.Fields(args)...)
	}
	for _, args := range []string{"compare one other", "report other", "pack other", "advise other", "bench --resume other"} {
		code, _, errs := run(t, strings.Fields(args)...)
		if code != ExitUsage || !strings.Contains(errs, `there is no run "other": nothing is at other or results/runs/other`) {
			t.Errorf("%s: exit code %d, %s", args, code, errs)
		}
	}
	if err := os.Mkdir("before", 0o777); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, "report", "before"); code != ExitUsage || !strings.Contains(errs, "before is no run directory") {
		t.Errorf("a path that is there does not win: exit code %d, %s", code, errs)
	}
	must("one.tar.gz", "pack", filepath.Join(runsDir, "before"))
	if code, _, errs := run(t, "pack", filepath.Join(runsDir, "before")); code != ExitUsage || !strings.Contains(errs, "one.tar.gz exists already: --out names another file") {
		t.Errorf("an archive was written over: %d %s", code, errs)
	}
	for _, args := range []string{"runs --json", "modes --json", "advise --json results/runs/before", "advise --services 50", "simulate --json --services 10 --modes ipvs"} {
		out := must("", strings.Fields(args)...)
		if strings.Contains(args, "--json") && !json.Valid([]byte(out)) {
			t.Errorf("%s: no JSON: %.200s", args, out)
		}
	}
}

// TestReportOut: a report goes into no other run's directory, only into that of the run.
func TestReportOut(t *testing.T) {
	old := oldRun(t)
	t.Chdir(t.TempDir())
	for _, dir := range []string{"a", "b"} {
		if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", "also-a"); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile("b/summary.json")
	for _, args := range []string{"report a --out b", "report a b --out b --force"} {
		if code, _, errs := run(t, strings.Fields(args)...); code != ExitUsage || !strings.Contains(errs, "--out b has a run of its own") {
			t.Errorf("%s: exit code %d, %s", args, code, errs)
		}
	}
	if after, _ := os.ReadFile("b/summary.json"); !bytes.Equal(before, after) {
		t.Error("the other run's summary was written over")
	}
	if code, _, errs := run(t, "report", "a", "--out", "also-a"); code != ExitOK {
		t.Errorf("into its own directory: exit code %d, %s", code, errs)
	}
}
