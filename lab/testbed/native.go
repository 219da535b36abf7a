package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes/ebpf/cgroup"
)

// Native runs commands on this kernel, in private user, network, mount and PID
// namespaces. The host's own namespace is never touched.
type Native struct{}

// Name implements [Testbed].
func (Native) Name() string { return NativeName }

// Probe implements [Testbed].
func (Native) Probe(ctx context.Context) error {
	_, err := findJail(ctx, true, false)
	return err
}

// Run implements [Testbed].
func (Native) Run(ctx context.Context, c Command) (int, error) {
	j, err := findJail(ctx, true, c.RealRoot)
	if err != nil {
		return -1, err
	}
	fds := plainFDs
	if c.Input != nil {
		fds = inputFDs
	}
	cmd, err := j.command(ctx, RoleNative, append([]string{j.name, fds}, c.Args...)...)
	if err != nil {
		return -1, err
	}
	cmd.Env = append(environment(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), c.Stdout, c.Stderr
	cmd.WaitDelay = 5 * time.Second
	input, err := c.Input.join(cmd, c.Stdout)
	if err != nil {
		return -1, err
	}
	defer input.ended()
	kills := oomKills()
	err = cmd.Start()
	input.started()
	if err != nil {
		return -1, fmt.Errorf("start %s in namespaces: %w", c.Args[0], err)
	}
	code, err := exitCode(cmd.Wait())
	sweep(ctx)
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	if err := memoryUsedUp(code, kills, "this machine, or of the group that it runs in,"); err != nil {
		return -1, err
	}
	return code, err
}

// dying is how long those may take to end that were killed with their parent.
const dying = 500 * time.Millisecond

// sweep removes what does not go with namespaces: the control groups of a command that was
// killed, now or, with all of viplab, in a run before.
func sweep(ctx context.Context) {
	wait := time.Duration(0)
	if ctx.Err() != nil {
		wait = dying
	}
	cgroup.Sweep(wait)
}

// toolPath has the system's own directories first, which ordinary users often
// lack.
const toolPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin"

// temporary is the folder for temporary files inside testbeds, of their own memory.
const temporary = "/run/tmp"

// environment is what a command finds in its environment: of the caller's no more than what
// says who and where they are.
func environment() []string {
	out := []string{"PATH=" + toolPath, "TMPDIR=" + temporary}
	for _, name := range []string{"HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "XDG_CACHE_HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// Which descriptors a command is given: the usual three, or that of an [Input] too.
const (
	plainFDs = "plain"
	inputFDs = "input"
)

// EnterNative is the body of [RoleNative]: it makes the file system read-only, and starts the
// command in further namespaces, whose root cannot undo that. The arguments are the jail's
// name, which descriptors there are, and the command.
func EnterNative(args []string) error {
	if err := readOnly(); err != nil {
		return err
	}
	// iptables' lock and the names of network namespaces live in /run.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a private /run: %w", err)
	}
	if err := os.Mkdir(temporary, 0o777); err != nil {
		return fmt.Errorf("make %s: %w", temporary, err)
	}
	cmd, err := inner(args[0], args[2:])
	if err != nil {
		return err
	}
	if args[1] == inputFDs {
		cmd.ExtraFiles = []*os.File{os.NewFile(InputFD, "input")}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s in namespaces: %w", args[2], err)
	}
	if len(cmd.ExtraFiles) > 0 {
		_ = cmd.ExtraFiles[0].Close() // or its other end would not see the command's end
	}
	_ = cmd.Wait()
	os.Exit(signalCode(cmd.ProcessState))
	return nil
}

// inner is a command in namespaces within those of the jail. Where those have a user
// namespace it has one too: mounts that were made read-only before then stay so.
func inner(jailName string, args []string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	cmd := exec.Command(self, append([]string{RoleInner}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: privateFlags | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if jailName == userJail {
		lockMounts(cmd.SysProcAttr)
	}
	return cmd, nil
}

// EnterInner is the body of [RoleInner]: it becomes the command. It returns only on error.
func EnterInner(args []string) error {
	if err := private(); err != nil {
		return err
	}
	// In a container, where parts of /proc are covered, a new one is refused;
	// the old one serves, but shows the outer PID namespace.
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if len(args) == 0 {
		return nil // nothing is asked for but that it can be done
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("find %s: %w", args[0], err)
	}
	return fmt.Errorf("start %s: %w", path, unix.Exec(path, args, os.Environ()))
}
