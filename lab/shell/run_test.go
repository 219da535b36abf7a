package shell

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPath: a relative path is seen from where the command starts, wherever the process is
// that starts it; a mere name is looked for in the PATH.
func TestPath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir("/")
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "check.sh"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"./check.sh": dir, "../check.sh": filepath.Join(dir, "below"), filepath.Join(dir, "check.sh"): "/", "sh": dir} {
		path, err := Job{Command: []string{name}, Dir: from}.path()
		if err != nil || !filepath.IsAbs(path) {
			t.Errorf("%s from %s: %q, %v", name, from, path, err)
		}
	}
	for _, name := range []string{"check.sh", "./none.sh"} {
		path, err := Job{Command: []string{name}, Dir: dir}.path()
		if startCode(err) != exitNotFound || errors.Is(err, exec.ErrDot) {
			t.Errorf("%s: %q, %v", name, path, err)
		}
	}
}

// TestNotice: the word that the command runs is heard once, in whatever pieces it comes, and
// not shown.
func TestNotice(t *testing.T) {
	for _, pieces := range [][]string{{"before " + startedWord + "after", " more"}, {"before \x00sta", "rted\nafter more"}} {
		var shown []byte
		heard := 0
		n := &notice{w: writer(func(p []byte) { shown = append(shown, p...) }), started: func() { heard++ }}
		for _, p := range pieces {
			if k, err := n.Write([]byte(p)); k != len(p) || err != nil {
				t.Fatal(k, err)
			}
		}
		n.flush()
		if string(shown) != "before after more" || heard != 1 {
			t.Errorf("%q: heard %d times, shown %q", pieces, heard, shown)
		}
	}
	n := &notice{w: writer(func(p []byte) { t.Logf("%s", p) })}
	if _, err := n.Write([]byte("it failed")); err != nil || string(n.held) != "it failed" {
		t.Errorf("held %q, %v", n.held, err)
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
