package workload

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplab/modes"
)

// TestStopped: a process that is stopped while it waits for an answer, and goes on, gets the
// answer. A socket with a timeout would say "interrupted system call".
func TestStopped(t *testing.T) {
	if to := os.Getenv("VIPLAB_TEST_STOPPED"); to != "" {
		at := netip.MustParseAddrPort(to)
		buf := make([]byte, 64)
		for what, do := range map[string]func() error{
			"a connection of its own": func() error { return Quiet(func() error { return connectOnce(at, buf) }) },
			"a connection":            func() error { return askOneConnection(at, buf) },
			"a request":               func() error { _, err := (&Prober{}).ask(modes.TCP, at, askOnce); return err },
		} {
			if err := do(); err != nil && !strings.Contains(err.Error(), "names no endpoint") {
				t.Errorf("%s: %v", what, err)
			}
		}
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 8))
			time.Sleep(400 * time.Millisecond) // the process is stopped meanwhile
			_, _ = c.Write([]byte("x\n"))
			_ = c.Close()
		}
	}()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestStopped$")
	cmd.Env = append(os.Environ(), "VIPLAB_TEST_STOPPED="+l.Addr().String())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil || strings.Contains(out.String(), "no tests to run") {
				t.Errorf("%v: %s", err, out.String())
			}
			return
		case <-time.After(90 * time.Millisecond):
			_ = cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(10 * time.Millisecond)
			_ = cmd.Process.Signal(syscall.SIGCONT)
		}
	}
}
