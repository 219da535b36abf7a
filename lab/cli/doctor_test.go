package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/lab/kernel"
	"viplab/modes/catalog"
)

// TestDoctorDamagedKernel: a built kernel whose digest is not the one that was noted is named
// as such, and never started.
func TestDoctorDamagedKernel(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, err := kernel.Dir()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "9.8")
	started := filepath.Join(t.TempDir(), "started")
	err = errors.Join(os.Mkdir(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "linux.uml"), []byte("#!/bin/sh\ntouch "+started+"\n"), 0o700),
		os.WriteFile(filepath.Join(dir, "kernel.json"), []byte(`{"version": "9.8.7", "source": "linux-source-9.8 9.8.7-1", "sha256": "00"}`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	all := doctorTestbeds()
	last := all[len(all)-1]
	if last.label != "uml, kernel 9.8 (9.8.7)" {
		t.Fatalf("the last testbed is %s", last.label)
	}
	var out bytes.Buffer
	can := map[string]bool{}
	app{modes: catalog.All()}.try(t.Context(), &out, last, can)
	if text := out.String(); !strings.Contains(text, "cannot be used: missing: kernel 9.8, whole") || !strings.Contains(text, "viplab kernel build --force 9.8") || len(can) > 0 {
		t.Errorf("%s%v", text, can)
	}
	if _, err := os.Stat(started); err == nil {
		t.Error("it was started")
	}
}
