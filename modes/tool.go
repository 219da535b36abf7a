package modes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// Runner starts command-line tools. It is the seam between a mode and the
// outside world: the real one is [Exec], tests pass their own.
type Runner interface {
	// Run starts the tool with stdin as its standard input, waits for it and
	// returns its standard output. The Cost holds the call, the bytes, and
	// the tool's CPU time and peak resident set.
	Run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, Cost, error)
}

// Exec runs tools as child processes, in the namespaces of the calling thread.
type Exec struct{}

// Run implements [Runner]. A tool that is not installed is a [MissingError].
func (Exec) Run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, Cost, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errb bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errb
	start := time.Now()
	err := cmd.Start()
	var peak int64
	if err == nil {
		peak, err = waitAndWatch(cmd)
	}
	cost := Cost{ToolCalls: 1, Bytes: len(stdin), Commit: time.Since(start), ToolPeakRSS: peak}
	if ps := cmd.ProcessState; ps != nil {
		cost.ToolCPU = ps.UserTime() + ps.SystemTime()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, cost, &MissingError{Need: "the tool " + name, Mend: "sudo apt-get install " + packageOf(name), Err: err}
	}
	if err != nil {
		return nil, cost, fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, firstLine(errb.String()))
	}
	return out.Bytes(), cost, nil
}

// watchEvery is how often a running tool's memory is looked at.
const watchEvery = 20 * time.Millisecond

// waitAndWatch waits for a process and returns its peak resident set as last
// seen, 0 if it ended before the first look. (The kernel's own account of a
// child, ru_maxrss, starts at the size of the process that started it.)
func waitAndWatch(cmd *exec.Cmd) (int64, error) {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var peak int64
	for {
		select {
		case err := <-done:
			return peak, err
		case <-tick.C:
			proc, err := procfs.NewProc(cmd.Process.Pid)
			if err != nil {
				continue
			}
			if st, err := proc.NewStatus(); err == nil {
				peak = max(peak, int64(st.VmHWM))
			}
		}
	}
}

// packageOf names the Debian package that holds a tool.
func packageOf(tool string) string {
	switch {
	case strings.HasPrefix(tool, "iptables"):
		return "iptables"
	case tool == "ip":
		return "iproute2"
	}
	return tool
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
