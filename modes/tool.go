package modes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"viplab/modes/clock"
)

// Input writes a tool's standard input.
type Input func(w *bufio.Writer) error

// Text is an Input that is a string.
func Text(s string) Input {
	return func(w *bufio.Writer) error {
		_, err := w.WriteString(s)
		return err
	}
}

// Runner starts command-line tools. It is the seam between a mode and the
// outside world: the real one is [Exec], tests pass their own.
type Runner interface {
	// Run starts the tool, feeds it its input (nil for none), waits for it and
	// returns its standard output. The Cost holds the call, the bytes, the
	// tool's CPU time and peak resident set; its Encode is the time that writing the
	// input took, its Start that until the tool ran, its Commit the rest.
	Run(ctx context.Context, stdin Input, name string, args ...string) ([]byte, Cost, error)
}

// CallerPath is the variable by which a testbed, where only the system's folders are in the
// PATH, hands on that of the user who started the lab.
const CallerPath = "VIPLAB_CALLER_PATH"

// Exec runs tools as child processes, in the namespaces of the calling thread.
type Exec struct{}

// Run implements [Runner]. A tool that is not installed is a [MissingError].
//
// The tool reads its input from a file in memory. Out of a pipe it would read while it is written,
// but on a single CPU the two take turns at each page, and iptables-restore of 160 000 rules takes
// a fifth longer; on two CPUs it takes as long as this.
func (Exec) Run(ctx context.Context, stdin Input, name string, args ...string) ([]byte, Cost, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errb bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errb
	cost := Cost{ToolCalls: 1}
	start := clock.Now()
	if stdin != nil && cmd.Err == nil {
		file, n, err := written(stdin)
		if err != nil {
			return nil, cost, fmt.Errorf("write the input of %s: %w", name, err)
		}
		defer func() { _ = file.Close() }() // its memory is all there is of it
		cmd.Stdin, cost.Bytes, cost.Encode = file, n, clock.Since(start)
	}
	err := cmd.Start()
	if err == nil {
		cost.Start = clock.Since(start) - cost.Encode
		watch := watchMemory(cmd.Process.Pid)
		err = cmd.Wait()
		cost.ToolPeakRSS = watch()
		cost.Commit = clock.Since(start) - cost.Start - cost.Encode
		cost.ToolCPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, cost, &MissingError{Need: "the tool " + name, Mend: "sudo apt-get install " + packageOf(name), Err: err}
	}
	if err != nil {
		return nil, cost, fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, firstLine(errb.String()))
	}
	return out.Bytes(), cost, nil
}

// written writes the input to a file that is in memory alone, to be read from its start, and
// returns its size.
func written(stdin Input) (*os.File, int, error) {
	fd, err := unix.MemfdCreate("input", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.3
		fd, err = unix.MemfdCreate("input", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("create a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "input")
	w := bufio.NewWriterSize(file, 64<<10)
	err = stdin(w)
	if err == nil {
		err = w.Flush()
	}
	var n int64
	if err == nil {
		n, err = file.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, int(n), nil
}

// A running tool's memory is looked at every watchEvery at first, later each time that another
// part in seldom of the time gone by has passed: where there is one CPU, each look takes it from
// the tool, and the kernel keeps the peak for the next look.
const (
	watchEvery = 20 * time.Millisecond
	seldom     = 10
)

// watchMemory looks at a running process' memory until the returned function is
// called, which gives the peak resident set as last seen, 0 if the process ended
// before the first look. (The kernel's own account of a child, ru_maxrss, starts
// at the size of the process that started it.)
func watchMemory(pid int) func() int64 {
	wait := func(gone time.Duration) time.Duration { return max(watchEvery, gone/seldom) }
	return Watch(wait, func() int64 {
		if proc, err := procfs.NewProc(pid); err == nil {
			if st, err := proc.NewStatus(); err == nil {
				return int64(st.VmHWM)
			}
		}
		return 0
	})
}

// Watch looks at something again and again until the returned function is called, which gives
// the largest value that was seen; 0 if it was called before the first look. wait is how long
// it is to the next look when so much time has gone by.
func Watch(wait func(gone time.Duration) time.Duration, look func() int64) func() int64 {
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		start, next := time.Now(), time.NewTimer(wait(0))
		defer next.Stop()
		var most int64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-next.C:
				most = max(most, look())
				next.Reset(wait(time.Since(start)))
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-peak
	}
}

// packageOf names the Debian package that holds a tool.
func packageOf(tool string) string {
	switch {
	case strings.HasPrefix(tool, "iptables"), strings.HasPrefix(tool, "ip6tables"):
		return "iptables"
	case tool == "nft":
		return "nftables"
	case tool == "ip":
		return "iproute2"
	}
	return tool
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
