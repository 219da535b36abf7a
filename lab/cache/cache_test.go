package cache

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/modes"
)

// refused tells whether an error is a missing folder, and says why.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !modes.IsMissing(err) || !strings.Contains(err.Error(), w) {
			t.Errorf("got %v, without %q", err, w)
		}
	}
}

// TestAbove: a folder is not used where others could put another in its place.
func TestAbove(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	dir, err := Dir("things")
	if err != nil || dir != filepath.Join(home, "viplab", "things") {
		t.Fatal(dir, err)
	}
	for _, at := range []string{home, filepath.Dir(dir)} {
		if err := os.Chmod(at, 0o777); err != nil {
			t.Fatal(err)
		}
		_, err = Dir("things")
		refused(t, err, "others may write to "+at, "chmod go-w "+at)
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A link to a safe place is fine, one to an unsafe place is not.
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "link"))
	if err := os.Symlink(open, filepath.Join(home, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir("things"); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err = Dir("things")
	refused(t, err, "others may write to "+open)
}

// TestFind: looking for a folder makes none.
func TestFind(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	t.Setenv("TMPDIR", temporary)
	if dir, err := Find("things"); err != nil || dir != "" {
		t.Errorf("%q, %v", dir, err)
	}
	if entries, err := os.ReadDir(temporary); err != nil || len(entries) > 0 {
		t.Errorf("made: %v, %v", entries, err)
	}
	want, err := Dir("things")
	if err != nil {
		t.Fatal(err)
	}
	if dir, err := Find("things"); err != nil || dir != want {
		t.Errorf("%q, %v, want %q", dir, err, want)
	}
	if err := os.Chmod(want, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err = Find("things")
	refused(t, err, "others may enter")
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lib.so")
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, path+".link"); err != nil {
		t.Fatal(err)
	}
	if err := Check(path); err != nil {
		t.Error(err)
	}
	if err := Check(path + ".link"); err == nil {
		t.Error("a link was accepted")
	}
	for _, at := range []string{path, dir} {
		if err := os.Chmod(at, 0o722); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); err == nil || !strings.Contains(err.Error(), "others may write to "+at) {
			t.Errorf("%s open to others: %v", at, err)
		}
		if err := os.Chmod(at, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if err := Check(path); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("somebody else's: %v", err)
	}
}

// TestTempNowhere: a TMPDIR that leads nowhere is named.
func TestTempNowhere(t *testing.T) {
	t.Setenv("TMPDIR", "/nowhere")
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	_, temp := Temp("", "x")
	_, dir := Dir("x")
	for _, err := range []error{temp, dir} {
		if err == nil || !strings.Contains(err.Error(), "TMPDIR is /nowhere, which is no folder") {
			t.Errorf("got %v", err)
		}
	}
}
