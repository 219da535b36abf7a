package results

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// runAt makes a run of a time in a folder.
func runAt(t *testing.T, dir, name string, day int) {
	t.Helper()
	w, err := Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := WriteJSON(w.Dir, EnvFile, Env{Time: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC), Testbed: "uml"}); err != nil {
		t.Fatal(err)
	}
	if err := WriteYAML(w.Dir, ConfigFile, map[string]any{"modes": []string{"ipvs"}, "services": []int{1, 1000}}); err != nil {
		t.Fatal(err)
	}
}

// TestRuns: runs are listed by their age; one that has a name, is the latest, or is among the
// newest is not pruned, nor one whose folder somebody named; what is no run is neither listed
// nor deleted.
func TestRuns(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	d, c, b := NewName(at, []byte("d")), NewName(at, []byte("c")), NewName(at, []byte("b"))
	for i, name := range []string{d, c, b, "a"} {
		runAt(t, dir, name, i+1)
	}
	if err := os.Mkdir(filepath.Join(dir, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(c, filepath.Join(dir, LatestLink)); err != nil {
		t.Fatal(err)
	}
	if err := NameRun(dir, d, "before", false); err != nil {
		t.Fatal(err)
	}
	list, err := List(dir)
	if err != nil || len(list) != 4 || list[0].Name != d || list[3].Name != "a" || !slices.Equal(list[0].Links, []string{"before"}) ||
		list[1].Links[0] != LatestLink || list[0].Testbed != "uml" || list[0].Services[1] != 1000 || list[0].Bytes == 0 {
		t.Fatalf("%+v %v", list, err)
	}
	for keep, want := range []int{1, 1, 0} {
		if old := Prunable(list, keep); len(old) != want || want > 0 && old[0].Name != b {
			t.Errorf("%+v", old)
		}
	}
	unlock, err := Lock(filepath.Join(dir, b))
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if err := DeleteRun(dir, b); !errors.As(err, &busy) {
		t.Errorf("a run that is being written: %v", err)
	}
	unlock()
	if err := DeleteRun(dir, b); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, b)); !os.IsNotExist(err) {
		t.Error("the run is still there")
	}
	if err := DeleteRun(dir, "../"+filepath.Base(dir)+"/mine"); err == nil {
		t.Error("deleted by a way out of the folder")
	}
	for link, run := range map[string]string{LatestLink: c, "before": d} {
		if err := NameRun(dir, link, "of-"+link, false); err != nil {
			t.Error(err)
		}
		if to, err := os.Readlink(filepath.Join(dir, "of-"+link)); err != nil || to != run {
			t.Errorf("the name of %s leads to %s, %v", link, to, err)
		}
	}
	for _, bad := range [][2]string{{d, "a"}, {d, LatestLink}, {d, "x/y"}, {d, ""}, {d, ".x"}, {d, "-x"}, {d, "x y"}, {d, "x\n"}, {"mine", "x"}, {"../d", "x"}, {"nothing", "x"}} {
		if err := NameRun(dir, bad[0], bad[1], true); err == nil {
			t.Errorf("%s is named %s", bad[0], bad[1])
		}
	}
	if list, err := List(filepath.Join(dir, "nowhere")); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

// TestNameTaken: a name stays with its run unless it is to be moved, or the run is gone.
func TestNameTaken(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a", "b"} {
		runAt(t, dir, name, i+1)
	}
	var taken *NameTakenError
	for i, step := range []struct {
		run         string
		move, taken bool
	}{{"a", false, false}, {"a", false, false}, {"b", false, true}, {"b", true, false}, {"a", false, true}} {
		if err := NameRun(dir, step.run, "mine", step.move); errors.As(err, &taken) != step.taken || err != nil && !step.taken {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if taken == nil || taken.Run != "b" {
		t.Errorf("%v", taken)
	}
	if err := os.RemoveAll(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := NameRun(dir, "a", "mine", false); err != nil {
		t.Errorf("the name of a run that is gone: %v", err)
	}
}

// TestPack: an archive holds the run's records, no plots, and nothing that a link leads to.
func TestPack(t *testing.T) {
	dir := t.TempDir()
	runAt(t, dir, "run", 1)
	run := filepath.Join(dir, "run")
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(run, ReportHTML)); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(run, BenchFile, []byte("much")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Pack(&b, run); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if !slices.Equal(names, []string{"run/" + ConfigFile, "run/" + EnvFile, "run/" + SamplesFile}) {
		t.Error(names)
	}
	if err := Pack(io.Discard, dir); err == nil {
		t.Error("a folder that is no run was packed")
	}
}
