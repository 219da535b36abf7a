package cli

import (
	"bytes"
	"errors"
	"fmt"
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
	app{modes: catalog.All()}.try(t.Context(), func(f finding) { fmt.Fprintln(&out, f) }, last, can)
	if text := out.String(); !strings.Contains(text, "cannot be used: missing: kernel 9.8, whole") || !strings.Contains(text, "viplab kernel build --force 9.8") || len(can) > 0 {
		t.Errorf("%s%v", text, can)
	}
	if _, err := os.Stat(started); err == nil {
		t.Error("it was started")
	}
}

// TestFindings: each is a line under its heading, or a record that says the same.
func TestFindings(t *testing.T) {
	for want, f := range map[string]finding{
		"testbed native:   ipvs dual              can run":                                         {Testbed: "native", Name: "ipvs dual", OK: true},
		"testbed native:   ipvs                   missing: a\n                         missing: b": {Testbed: "native", Name: "ipvs", Why: "missing: a\nmissing: b"},
		"testbed uml:   cannot be used: it is broken":                                              {Testbed: "uml", Why: "it is broken"},
		"tools:   iperf3                 found":                                                    {Name: "iperf3", OK: true},
		"tools:   iperf3                 missing; to mend: sudo apt-get install iperf3":            {Name: "iperf3", Why: "missing; to mend: sudo apt-get install iperf3"},
	} {
		if got := f.place() + ": " + f.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
