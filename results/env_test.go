package results

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestToolVersion: a tool that fails has said nothing of its version.
func TestToolVersion(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for name, text := range map[string]string{
		"says":   "#!/bin/sh\necho says v1.31\necho more",
		"broken": "#!/bin/sh\necho modprobe: FATAL: no such module >&2\nexit 2",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := toolVersion("says", "--version"); v != "says v1.31" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if v, err := toolVersion("broken", "--version"); v != "" || err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%q, %v: want no version and why", v, err)
	}
	if _, err := toolVersion("not-there"); err == nil {
		t.Error("a tool that is not there has a version")
	}
}
