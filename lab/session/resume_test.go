package session

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/modes/catalog"
	"viplab/results"
)

// begun is a run that was killed after its settings were written.
func begun(t *testing.T) *Session {
	t.Helper()
	c := Default(catalog.All())
	c.Services, c.Modes, c.Repeat, c.Testbed = []int{1, 2}, []string{"iptables", "ipvs"}, 2, "native"
	s := &Session{Config: c, Modes: catalog.All(), Dir: filepath.Join(t.TempDir(), "run")}
	trials, err := s.Trials(s.Modes)
	if err == nil {
		err = errors.Join(s.take(), s.describe(trials))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Release()
	return s
}

// record adds records to the run.
func record(t *testing.T, s *Session, records ...results.Record) {
	t.Helper()
	w, err := results.Create(s.Dir)
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
}

// ended is the record that ends the first trial of a run.
func ended(t *testing.T, s *Session) results.Record {
	t.Helper()
	trials, err := s.Trials(s.Modes)
	if err != nil {
		t.Fatal(err)
	}
	return trials[0].NewRecord(results.Done, nil)
}

func again(s *Session) *Session { return &Session{Modes: s.Modes, Dir: s.Dir} }

func TestLoad(t *testing.T) {
	s := begun(t)
	fresh := again(s)
	if err := fresh.Load(); err != nil || fresh.Resume || fresh.Repeat != 2 {
		t.Fatalf("killed before the first record: %v, %+v", err, fresh.Config)
	}
	fresh.Release()
	record(t, s, ended(t, s))
	later := again(s)
	if err := later.Load(); err != nil || !later.Resume || len(later.finished) != 1 {
		t.Fatalf("killed after the first trial: %v, %v", err, later.finished)
	}
}

// TestOneWriter: a second writer is refused, and has changed nothing.
func TestOneWriter(t *testing.T) {
	s := begun(t)
	record(t, s, ended(t, s))
	first := again(s)
	if err := first.Load(); err != nil {
		t.Fatal(err)
	}
	before := content(t, s.Dir)
	var busy *results.BusyError
	if err := again(s).Load(); !errors.As(err, &busy) {
		t.Errorf("two go on with one run: %v", err)
	}
	if err := again(s).take(); !errors.As(err, &busy) {
		t.Errorf("another begins there: %v", err)
	}
	first.Release()
	if err := again(s).take(); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("another begins there later: %v", err)
	}
	if after := content(t, s.Dir); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func content(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(e.Name() + ":\n" + string(text))
	}
	return b.String()
}

// TestForeignConfig: settings that are not those of the records are not gone on with, and
// nothing is filled in from the defaults.
func TestForeignConfig(t *testing.T) {
	const missing = "no file at all"
	good, err := os.ReadFile(filepath.Join(begun(t).Dir, results.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                          "it is empty",
		"# nothing\n":               "it is empty",
		"{}\n":                      "no list of settings",
		"null\n":                    "no list of settings",
		"[1, 2]\n":                  "no list of settings",
		"services: [1, 2]\n":        "does not say",
		"apiVersion: v1\nkind: Pod": "apiVersion",
		strings.Replace(string(good), "repeat: 2", "repeat: 1", 1):               "", // the trial with a record is in it
		strings.Replace(string(good), "endpoints: 2", "endpoints: 3", 1):         "not that of its records",
		strings.Replace(string(good), "    - 1\n    - 2", "    - 7\n    - 8", 1): "not that of its records",
		string(good) + "---\n" + string(good):                                    "more than one document",
		missing:                                                                  "it has no config.yaml, which says how it is to go on",
	} {
		s := begun(t)
		record(t, s, ended(t, s))
		if err := os.WriteFile(filepath.Join(s.Dir, results.ConfigFile), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if text == missing {
			if err := os.Remove(filepath.Join(s.Dir, results.ConfigFile)); err != nil {
				t.Fatal(err)
			}
		}
		err := again(s).Load()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
