package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// First arguments with which this program starts itself again. They are not
// for users.
const (
	RoleCheck  = "__jail-check"
	RoleNative = "__jail-native"
	RoleUML    = "__jail-uml"
	RoleQEMU   = "__jail-qemu"
)

// jail is a set of namespaces that a process can be started in.
type jail struct {
	name  string
	flags uintptr
}

const privateFlags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC

// jails lists the ways to be alone, the preferred one first: with a user
// namespace, which needs no rights and gives none over the host, or as root
// without one where user namespaces are forbidden.
func jails(extra uintptr, realRoot bool) []jail {
	out := []jail{{"user namespace", unix.CLONE_NEWUSER | privateFlags | extra}}
	if os.Geteuid() == 0 {
		out = append(out, jail{"root", privateFlags | extra})
		if realRoot {
			slices.Reverse(out)
		}
	}
	return out
}

// command starts this program again inside the jail, in the given role.
func (j jail) command(ctx context.Context, role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, append([]string{role}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: j.flags, Pdeathsig: syscall.SIGKILL}
	if j.flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	// Control-C in a terminal goes to the whole process group; the run ends
	// the trial itself, in order.
	cmd.SysProcAttr.Setpgid = true
	return cmd, nil
}

// findJail is the first jail that really works here: some systems let user
// namespaces be made and then allow nothing in them.
func findJail(ctx context.Context, extra uintptr, realRoot bool) (jail, error) {
	var failed []string
	for _, j := range jails(extra, realRoot) {
		cmd, err := j.command(ctx, RoleCheck)
		if err != nil {
			return jail{}, err
		}
		out, err := cmd.CombinedOutput()
		if err == nil {
			return j, nil
		}
		failed = append(failed, strings.TrimSpace(fmt.Sprintf("%s: %v %s", j.name, err, bytes.TrimSpace(out))))
	}
	return jail{}, missingNamespaces(errors.New(strings.Join(failed, "; ")))
}

// Check is the body of [RoleCheck]: it tries what a jailed process must be
// able to do.
func Check() error {
	if err := private(); err != nil {
		return err
	}
	return unix.Mount("tmpfs", "/run", "tmpfs", 0, "")
}

// private cuts the mount namespace off from the host's.
func private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}
