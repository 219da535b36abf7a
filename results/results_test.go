package results

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, records ...Record) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	w, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func sample() Record {
	return Record{Metric: SyncFull, Variant: Variant{Mode: "ipvs"}, Factors: map[string]string{Services: "10"}, Trial: "t", Round: 2, Values: []float64{0.5, 0.25}}
}

func TestRoundTrip(t *testing.T) {
	dir := write(t, sample(), Record{Metric: Done, Trial: "t", Err: "no"})
	run, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Records) != 2 || !reflect.DeepEqual(run.Records[0], sample()) || run.Records[1].Err != "no" {
		t.Errorf("read %+v", run.Records)
	}
	if got := run.Records[0].Cell(); got != "sync_full_seconds/mode=ipvs/services=10" {
		t.Errorf("cell %s", got)
	}
	if _, err := Create(dir); err == nil {
		t.Error("a run directory was overwritten")
	}
}

// TestCut reads a samples file that was cut at every possible byte: all whole
// records survive, and the reader says what was lost.
func TestCut(t *testing.T) {
	dir := write(t, sample(), sample(), sample())
	path := filepath.Join(dir, SamplesFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := strings.Index(string(whole), "\n") + 1
	for n := head; n < len(whole); n++ {
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		run, err := Open(dir)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		complete := strings.Count(string(whole[head:n]), "\n")
		rest := whole[head+strings.LastIndex("\n"+string(whole[head:n]), "\n") : n]
		if got := len(run.Records); got != complete && !(got == complete+1 && len(rest) > 10) {
			t.Fatalf("cut at %d: %d records of %d", n, got, complete)
		}
	}
	for _, text := range []string{"", "hello\n", `{"schema":"viplab/99"}` + "\n", `{"schema":"other/1"}` + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no run directory") {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("{\"schema\":\"viplab/1\"}\n{\"metric\":\"x\",\"values\":[1]}\n")
	f.Add("{\"schema\":\"viplab/1\"}\n\x00\n{")
	f.Fuzz(func(t *testing.T, text string) {
		run := &Run{}
		if err := run.read(strings.NewReader(text)); err != nil {
			return
		}
		for _, r := range run.Records {
			if r.Metric == "" {
				t.Error("a record without a metric")
			}
			_ = r.Cell()
		}
	})
}
