package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// Native runs commands on this kernel, in private user, network, mount and PID
// namespaces. The host's own namespace is never touched.
type Native struct{}

// Name implements [Testbed].
func (Native) Name() string { return NativeName }

// Probe implements [Testbed].
func (Native) Probe(ctx context.Context) error {
	_, err := findJail(ctx, unix.CLONE_NEWNET, false)
	return err
}

// Run implements [Testbed].
func (Native) Run(ctx context.Context, c Command) (int, error) {
	j, err := findJail(ctx, unix.CLONE_NEWNET, c.RealRoot)
	if err != nil {
		return -1, err
	}
	cmd, err := j.command(ctx, RoleNative, c.Args...)
	if err != nil {
		return -1, err
	}
	cmd.Env = append(append(os.Environ(), "PATH="+toolPath), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), c.Stdout, c.Stderr
	cmd.WaitDelay = 5 * time.Second
	input, err := c.Input.join(cmd, c.Stdout)
	if err != nil {
		return -1, err
	}
	defer input.ended()
	err = cmd.Start()
	input.started()
	if err != nil {
		return -1, fmt.Errorf("start %s in namespaces: %w", c.Args[0], err)
	}
	code, err := exitCode(cmd.Wait())
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	return code, err
}

// toolPath has the system's own directories first, which ordinary users often
// lack.
const toolPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin"

// EnterNative is the body of [RoleNative]: it finishes the jail from inside and
// becomes the command. It returns only on error.
func EnterNative(args []string) error {
	if err := private(); err != nil {
		return err
	}
	// iptables' lock and the names of network namespaces live in /run.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a private /run: %w", err)
	}
	// In a container, where parts of /proc are covered, a new one is refused;
	// the old one serves, but shows the outer PID namespace.
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("mount /proc: %w", err)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("find %s: %w", args[0], err)
	}
	return fmt.Errorf("start %s: %w", path, unix.Exec(path, args, os.Environ()))
}
