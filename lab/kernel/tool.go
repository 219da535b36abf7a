package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

// tool is a program that a build needs, and Debian's package that has it.
type tool struct{ program, pack string }

// tools are what a build of user-mode-linux really uses: neither libelf nor
// OpenSSL, which the kernel's own documentation asks for and which only objtool
// and signed modules need.
func tools() []tool {
	return []tool{{"make", "make"}, {"gcc", "gcc"}, {"flex", "flex"}, {"bison", "bison"}, {"bc", "bc"}, {"tar", "tar"}, {"xz", "xz-utils"}}
}

// packageOf is Debian's package that has a program.
func packageOf(program string) string {
	for _, t := range append(tools(), tool{"strip", "binutils"}, tool{"apt-get", "apt"}, tool{"apt-cache", "apt"}, tool{"dpkg-deb", "dpkg"}, tool{"depmod", "kmod"}) {
		if t.program == program {
			return t.pack
		}
	}
	return program
}

// header stands for those of the C library.
const header = "/usr/include/stdio.h"

// toolPath is where tools are looked for.
const toolPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

// probeTools says what a build lacks here, as a [modes.MissingError].
func probeTools(look func(string) (string, error)) error {
	if runtime.GOARCH != "amd64" {
		return &modes.MissingError{Need: "a 64-bit x86 processor: the kernel source has user-mode-linux for no other", Mend: "use --testbed native"}
	}
	var programs, packages []string
	for _, t := range tools() {
		if _, err := look(t.program); err != nil {
			programs, packages = append(programs, t.program), append(packages, t.pack)
		}
	}
	if _, err := os.Stat(header); err != nil {
		programs, packages = append(programs, header), append(packages, "libc6-dev")
	}
	if programs == nil {
		return nil
	}
	return &modes.MissingError{Need: "what builds a kernel: " + strings.Join(programs, ", "), Mend: "sudo apt-get install " + strings.Join(packages, " ")}
}

// LookTool finds a tool where the system has them, whatever the caller's PATH is: an
// ordinary user's often lacks sbin, and a service's is empty.
func LookTool(program string) (string, error) {
	for dir := range strings.SplitSeq(toolPath, ":") {
		if p := dir + "/" + program; unix.Access(p, unix.X_OK) == nil {
			return p, nil
		}
	}
	return "", &exec.Error{Name: program, Err: exec.ErrNotFound}
}

// runner starts the tools of a build. Each gets an environment of its own: the
// caller's MAKEFLAGS, ARCH or KCFLAGS must not change what is built.
type runner struct {
	env []string
	// log gets everything that the tools print, may be nil.
	log io.Writer
	// cpu sums up the processor time of what ran, may be nil.
	cpu *time.Duration
}

// stopLimit is how long tools may take to end when they are asked to.
const stopLimit = 10 * time.Second

// start runs a tool to its end and hands what it prints to out, lines of both
// outputs mixed. When ctx ends, it and all that it started are asked to stop.
func (r runner) start(ctx context.Context, dir string, out io.Writer, name string, args ...string) error {
	path, err := LookTool(name)
	if err != nil {
		return &modes.MissingError{Need: "the tool " + name, Mend: "sudo apt-get install " + packageOf(name), Err: err}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, out, out, stopLimit
	// KBUILD_BUILD_*: the same source and compiler give the same kernel.
	cmd.Env = append([]string{"PATH=" + toolPath, "LC_ALL=C", "HOME=" + dir, "XZ_OPT=-T0", "DEBIAN_FRONTEND=noninteractive",
		"KBUILD_BUILD_USER=viplab", "KBUILD_BUILD_HOST=viplab", "KBUILD_BUILD_TIMESTAMP=1970-01-01"}, r.env...)
	for _, keep := range []string{"http_proxy", "https_proxy", "no_proxy", "TMPDIR"} {
		if v, ok := os.LookupEnv(keep); ok {
			cmd.Env = append(cmd.Env, keep+"="+v)
		}
	}
	// Its own process group, so that Control-C comes to it through here alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	err = cmd.Run()
	if r.cpu != nil && cmd.ProcessState != nil {
		*r.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// output runs a tool and returns what it printed.
func (r runner) output(ctx context.Context, dir, name string, args ...string) (string, error) {
	var b bytes.Buffer
	var w io.Writer = &b
	if r.log != nil {
		w = io.MultiWriter(&b, r.log)
	}
	err := r.start(ctx, dir, w, name, args...)
	return b.String(), err
}

// toolError makes a sentence of a tool that failed: a full disk is a
// [modes.MissingError], and so is a tool that is not there.
func toolError(what, out string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), modes.IsMissing(err):
		return err
	case errors.Is(err, unix.ENOSPC), saysFull(out):
		return fullDisk(fmt.Errorf("%s: %w", what, unix.ENOSPC))
	}
	return fmt.Errorf("%s: %w: %s", what, err, firstError(out))
}

// saysFull tells whether a tool complains of a full disk.
func saysFull(out string) bool {
	return strings.Contains(out, unix.ENOSPC.Error()) || strings.Contains(out, "No space left on device") ||
		strings.Contains(out, "You don't have enough free space")
}

// fullDisk makes a [modes.MissingError] of what a full disk stopped, and leaves any other
// error as it is.
func fullDisk(err error) error {
	if !errors.Is(err, unix.ENOSPC) || modes.IsMissing(err) {
		return err
	}
	return &modes.MissingError{Need: "free space on the disk", Mend: makeSpace, Err: err}
}

// firstError is the line of a compiler's output that says what is wrong, or the one
// before make's first word on it.
func firstError(out string) string {
	before := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "error:") || strings.Contains(line, "fatal:") {
			return line
		}
		if strings.Contains(line, "***") && before != "" {
			return before
		}
		before = line
	}
	return lastLine(out)
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
