package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplab/results"
)

// signalled starts the program, sends it a signal when it is ready for it, and says how long
// it then took to end, with which exit code.
func signalled(t *testing.T, s syscall.Signal, ready func() bool, args ...string) (code int, took time.Duration, stderr string) {
	t.Helper()
	cmd := program(t, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for limit := time.Now().Add(time.Minute); !ready() && time.Now().Before(limit); {
		time.Sleep(20 * time.Millisecond)
	}
	start := time.Now()
	_ = cmd.Process.Signal(s)
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%v: ended with %v: %s", args, err, errs.String())
		}
		return exit.ExitCode(), time.Since(start), errs.String()
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("%v: still there 20 s after the signal", args)
	}
	return 0, 0, ""
}

// promise is how soon after a signal a command ends (two seconds), with room for a machine on
// which everything else is tested at the same time.
const promise = 12 * time.Second

// begun is signalled for a command that has just begun. One that a signal kills had not come
// to main yet, and is given longer.
func begun(t *testing.T, s syscall.Signal, args ...string) (code int, took time.Duration, errs string) {
	t.Helper()
	for wait := 200 * time.Millisecond; wait < 10*time.Second; wait *= 4 {
		begin := time.Now()
		code, took, errs = signalled(t, s, func() bool { return time.Since(begin) > wait }, args...)
		if code != -1 {
			break
		}
	}
	return code, took, errs
}

// TestSignals: every command ends soon after a signal, whatever it is in the middle of, with
// the signal's exit code.
func TestSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: how soon commands end after a signal, which needs a quiet machine: go test ./lab/cli -run 'Signals|Hangup'")
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"simulate --services 1000000,999999,999998,999997",
		"simulate --what churn --churn 1e-6 --services 1000000,999999,999998",
		"explain --services 200000 --modes iptables,ipvs,nftables --packet all",
		"bench --config " + pipe, "scenario " + pipe, "doctor",
	} {
		for s, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 143, syscall.SIGQUIT: 131} {
			code, took, errs := begun(t, s, strings.Fields(line)...)
			if code != want || took > promise || !strings.Contains(errs, "interrupted") {
				t.Errorf("%s, %s: exit %d after %s: %s", line, s, code, took, errs)
			}
		}
	}
}

// TestHangup: a run whose terminal goes away ends with a report of what was measured.
func TestHangup(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: how soon commands end after a signal, which needs a quiet machine: go test ./lab/cli -run 'Signals|Hangup'")
	}
	dir := filepath.Join(t.TempDir(), "run")
	measured := func() bool {
		run, err := results.Open(dir)
		return err == nil && len(run.Finished()) > 0
	}
	code, took, errs := signalled(t, syscall.SIGHUP, measured, "bench", "--quick", "--services", "20", "--modes", "direct,iptables", "--repeat", "5",
		"--testbed", "native", "--out", dir, "--progress", "none")
	if code != 143 || took > promise || !strings.Contains(errs, "of 10 trials; what was measured is in "+dir) {
		t.Errorf("exit %d after %s: %s", code, took, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, results.ReportHTML)); err != nil {
		t.Error(err)
	}
}
