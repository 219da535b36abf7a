package results

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// victim is a file outside of a run directory that must stay as it is.
func victim(t *testing.T) (path string, same func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(path, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		t.Helper()
		b, err := os.ReadFile(path)
		if entries, _ := os.ReadDir(filepath.Dir(path)); err != nil || string(b) != "mine" || len(entries) != 1 {
			t.Errorf("outside of the run directory there is now %q, %v, %v", b, entries, err)
		}
	}
}

// TestStaysInside: whatever links lie in a run directory, nothing outside of it is written
// to or read.
func TestStaysInside(t *testing.T) {
	path, same := victim(t)
	for name, lay := range map[string]func(dir string) error{
		"old temporary name": func(dir string) error { return os.Symlink(path, filepath.Join(dir, "report.html.part")) },
		"the file itself":    func(dir string) error { return os.Symlink(path, filepath.Join(dir, ReportHTML)) },
		"hard link":          func(dir string) error { return os.Link(path, filepath.Join(dir, ReportHTML)) },
		"hanging link":       func(dir string) error { return os.Symlink(path+"-2", filepath.Join(dir, ReportHTML)) },
	} {
		dir := t.TempDir()
		if err := lay(dir); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(dir, ReportHTML, []byte("report")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, ReportHTML)); err != nil || string(b) != "report" {
			t.Errorf("%s: %q %v", name, b, err)
		}
		same()
	}
	for name, to := range map[string]string{"outside": filepath.Dir(path), "inside": ".", "a file": path} {
		dir := t.TempDir()
		if err := os.Symlink(to, filepath.Join(dir, PlotsDir)); err != nil {
			t.Fatal(err)
		}
		err := WriteFiles(dir, File{"summary.json", nil}, File{PlotsDir + "/a.svg", nil})
		var link *LinkError
		if entries, _ := os.ReadDir(dir); !errors.As(err, &link) || len(entries) != 1 {
			t.Errorf("plots is a link to %s: %v, and there are %v", name, err, entries)
		}
		same()
	}
}

// TestSamplesAreOurs: records are appended to and read from a plain file only.
func TestSamplesAreOurs(t *testing.T) {
	good := write(t, sample())
	samples := filepath.Join(good, SamplesFile)
	for name, lay := range map[string]func(at string) error{
		"a link":        func(at string) error { return os.Symlink(samples, at) },
		"a pipe":        func(at string) error { return unix.Mkfifo(at, 0o666) },
		"a folder":      func(at string) error { return os.Mkdir(at, 0o777) },
		"a second name": func(at string) error { return os.Link(samples, at) },
	} {
		dir := t.TempDir()
		if err := lay(filepath.Join(dir, SamplesFile)); err != nil {
			t.Fatal(err)
		}
		done := make(chan bool)
		go func() {
			defer close(done)
			if w, err := Resume(dir); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: resumed %+v, %v", name, w, err)
			}
			if run, err := Open(dir); name != "a second name" && err == nil {
				t.Errorf("%s: read %+v", name, run.Records)
			}
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still waiting", name)
		}
	}
	if run, err := Open(good); err != nil || len(run.Records) != 1 {
		t.Errorf("the other run: %v", err)
	}
}

// TestWholeOrNot: a set of files of which one cannot be written replaces none.
func TestWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(dir, "a", []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := WriteFiles(dir, File{"a", []byte("new")}, File{"file/b", nil}); err == nil {
		t.Error("a file below a file was written")
	}
	b, err := os.ReadFile(filepath.Join(dir, "a"))
	if entries, _ := os.ReadDir(dir); err != nil || string(b) != "old" || len(entries) != 2 {
		t.Errorf("%q %v, left %v", b, err, entries)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := Lock(dir); !errors.As(err, &busy) {
		t.Errorf("locked twice: %v", err)
	}
	unlock()
	if unlock, err = Lock(dir); err != nil {
		t.Fatal(err)
	}
	unlock()
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("the lock left %v", entries)
	}
}
