package testbed

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"viplab/modes"
)

// TestRoom: what fits is not refused, what does not is, with figures.
func TestRoom(t *testing.T) {
	if err := room(40000, 1<<20); err != nil { // 20000 Services in a gigabyte
		t.Error(err)
	}
	err := room(3_000_000, 24<<20)
	if !modes.IsMissing(err) || !strings.Contains(err.Error(), "37.1 GB of memory for 3000000 endpoints") || !strings.Contains(err.Error(), "25.8 GB are free") {
		t.Errorf("got %v", err)
	}
}

// TestHowEnded: the name of a signal, not a number that only shells know.
func TestHowEnded(t *testing.T) {
	for code, want := range map[int]string{137: "SIGKILL: killed", 139: "SIGSEGV", 3: "exit code 3", 128: "exit code 128", 255: "exit code 255"} {
		if got := HowEnded(code); !strings.Contains(got, want) {
			t.Errorf("%d: %s", code, got)
		}
	}
}

// TestGuestOutOfMemory: a command that takes more than the guest has is said to have been
// killed for that. It lies in a folder with a space in its name, and so does what is temporary.
func TestGuestOutOfMemory(t *testing.T) {
	tb := &UML{}
	if err := tb.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: testbed uml: %v", err)
	}
	if !strings.Contains(self(t), " ") {
		dir := filepath.Join(t.TempDir(), "a folder")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(self(t))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "the program")
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "-test.run=^TestGuestOutOfMemory$")
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	var out, errs bytes.Buffer
	code, err := tb.Run(t.Context(), Command{Args: []string{"/usr/bin/tail", "/dev/zero"}, MemoryMB: 192, Stdout: &out, Stderr: &errs})
	if err == nil || !strings.Contains(err.Error(), "the memory of the guest (192 MB) was used up") {
		t.Errorf("exit %d, %v: %s%s", code, err, out.String(), errs.String())
	}
}
