package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplab/modes/ebpf/cgroup"
	"viplab/results"
)

// program starts this test binary as the program itself.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// leftovers lists processes, mounts, control groups and files that a run has left.
func leftovers(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		line, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		exe, _ := os.Readlink(filepath.Join(d, "exe"))
		if filepath.Base(d) != strconv.Itoa(os.Getpid()) && (exe == self || strings.Contains(string(line), "init="+self)) {
			out = append(out, "process "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	for _, pattern := range []string{"/run/netns/*", "/dev/shm/viplab*", filepath.Join(os.TempDir(), "viplab-*")} {
		found, _ := filepath.Glob(pattern)
		out = append(out, found...)
	}
	for _, group := range cgroup.Empty() {
		out = append(out, "control group "+group)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "viplab") {
			out = append(out, "mount "+line)
		}
	}
	return out
}

// settled waits until nothing new is left, for what dies with its parent.
func settled(t *testing.T, before []string) (left []string) {
	for range 50 {
		left = slices.DeleteFunc(leftovers(t), func(s string) bool { return slices.Contains(before, s) })
		if len(left) == 0 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return left
}

// kills is how often TestKill kills a run; VIPLAB_KILLS asks for more.
func kills(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("VIPLAB_KILLS")); err == nil {
		return n
	}
	return 3
}

// TestKill kills a run at random moments: nothing is left behind, the directory
// reads, and a resumed run completes it.
func TestKill(t *testing.T) {
	before := leftovers(t)
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range kills(t) {
		testbedName := []string{"native", "uml"}[i%2]
		dir := filepath.Join(t.TempDir(), "run")
		cmd := program(t, "bench", "--quick", "--services", "40", "--modes", "direct,iptables", "--repeat", "2", "--testbed", testbedName, "--out", dir, "--progress", "none")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rng.Int64N(int64(6 * time.Second)))
		time.Sleep(after)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if left := settled(t, before); len(left) > 0 {
			t.Errorf("seed %d, killed on %s after %s: left %v", seed, testbedName, after, left)
		}
		if _, err := os.Stat(dir); err != nil {
			continue // killed while it looked for a testbed: there is nothing to go on with
		}
		out, err := program(t, "bench", "--resume", dir, "--progress", "none").CombinedOutput()
		if err != nil {
			t.Errorf("killed on %s after %s: resume: %v %s", testbedName, after, err, out)
			continue
		}
		run, err := results.Open(dir)
		if err != nil || len(run.Finished()) != 4 {
			t.Errorf("killed on %s after %s: %d of 4 trials after the resume, %v", testbedName, after, len(run.Finished()), err)
		}
	}
}

// TestKilledGroups: the control group of mode ebpf, which goes with no namespace, is removed
// after a signal, and that of a run which was killed by the next one in any mode.
func TestKilledGroups(t *testing.T) {
	before := leftovers(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		cmd := program(t, "exec", "--mode", "ebpf", "--testbed", "native", "--", "sh", "-c", "echo up; sleep 1000")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		up, _ := io.ReadFull(out, make([]byte, len("up\n")))
		_ = cmd.Process.Signal(s)
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() == ExitSkipped {
			t.Skipf("SKIPPED: mode ebpf in testbed native: %s", errs.String())
		}
		if up == 0 {
			t.Fatalf("it did not start: %s", errs.String())
		}
		if s == syscall.SIGKILL {
			time.Sleep(100 * time.Millisecond) // until what dies with its parent is dead
			if out, err := program(t, "exec", "--testbed", "native", "--", "true").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if left := settled(t, before); len(left) > 0 {
			t.Errorf("after %s: left %v", s, left)
		}
	}
}

// TestDiskFull: a full disk ends the run with a sentence, and what was written
// before reads.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	script := fmt.Sprintf(`mount -t tmpfs -o size=48k none %[1]s && "$0" "$@"; code=$?; cp -r %[1]s/run %[2]s; exit $code`, dir, dir+"-kept")
	defer os.RemoveAll(dir + "-kept")
	p := program(t)
	cmd := exec.Command("unshare", append([]string{"-Urm", "sh", "-c", script, p.Path}, "bench", "--quick", "--services", "40", "--modes", "direct,iptables",
		"--repeat", "3", "--testbed", "native", "--out", dir+"/run", "--progress", "none")...)
	cmd.Env = p.Env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != ExitFailure || !strings.Contains(string(out), "no space left on device") {
		t.Fatalf("%v: %s", err, out)
	}
	run, err := results.Open(dir + "-kept")
	if err != nil || len(run.Records) == 0 {
		t.Errorf("what was written before: %v", err)
	}
}
