package pulse

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPulse: what stands still is told from what computes, waits or is suspended.
func TestPulse(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		what string
		next beat
		want string
	}{
		{"a beat in time", beat{second / 4, second / 4, 0}, ""},
		{"a little late", beat{second, second, 0}, ""},
		{"stopped", beat{20 * second, 20 * second, second / 10}, "stood still for 19.8s"},
		{"computing", beat{20 * second, 20 * second, 19 * second}, ""},
		{"suspended", beat{second / 4, 3600 * second, 0}, "suspended for 59m59.8s"},
	} {
		p := &Pulse{now: func() (beat, error) { return c.next, nil }}
		if got := p.Take(); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: %q", c.what, got)
		}
		if got := p.Take(); got != "" {
			t.Errorf("%s: taken twice: %q", c.what, got)
		}
	}
}

// TestPulseOfStopped: a process that is really stopped notices it.
func TestPulseOfStopped(t *testing.T) {
	if os.Getenv("VIPLAB_TEST_PULSE") != "" {
		p := Start()
		defer p.Stop()
		time.Sleep(time.Second)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Second)
		if got := p.Take(); !strings.Contains(got, "stood still") {
			t.Errorf("noticed nothing: %q", got)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestPulseOfStopped$")
	cmd.Env = append(os.Environ(), "VIPLAB_TEST_PULSE=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	_ = cmd.Process.Signal(syscall.SIGCONT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
}
