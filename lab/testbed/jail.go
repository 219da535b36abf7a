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
	RoleInner  = "__jail-inner"
)

// jail is a set of namespaces that a process can be started in.
type jail struct {
	name  string
	flags uintptr
}

const privateFlags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC

// Names of jails.
const (
	userJail = "user namespace"
	rootJail = "root"
)

// jails lists the ways to be alone, the preferred one first: with a user
// namespace, which needs no rights and gives none over the host, or as root
// without one where user namespaces are forbidden.
func jails(realRoot bool) []jail {
	out := []jail{{userJail, unix.CLONE_NEWUSER | privateFlags}}
	if os.Geteuid() == 0 {
		out = append(out, jail{rootJail, privateFlags})
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
// namespaces be made and then allow nothing in them. nested asks for one that can have
// network namespaces within.
func findJail(ctx context.Context, nested, realRoot bool) (jail, error) {
	var failed []string
	for _, j := range jails(realRoot) {
		var args []string
		if nested {
			// The PID namespace is that within: of one of our own we would need a /proc.
			j.flags &^= unix.CLONE_NEWPID
			args = []string{j.name}
		}
		cmd, err := j.command(ctx, RoleCheck, args...)
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
// able to do, and with the jail's name as an argument, what one within must.
func Check(args []string) error {
	if err := readOnly(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil || len(args) == 0 {
		return err
	}
	cmd, err := inner(args[0], nil)
	if err != nil {
		return err
	}
	return cmd.Run()
}

// private cuts the mount namespace off from the host's.
func private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

// readOnly cuts the mount namespace off from the host's, and lets nobody in it write to what
// is mounted there now. /proc is left: it is no file system of the host's, and one that
// cannot be written to would keep others of its kind from being mounted.
func readOnly() error {
	if err := private(); err != nil {
		return err
	}
	var proc unix.Statfs_t
	if err := unix.Statfs("/proc", &proc); err != nil {
		return fmt.Errorf("look at /proc: %w", err)
	}
	err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err == nil && proc.Flags&unix.ST_RDONLY == 0 {
		err = unix.MountSetattr(unix.AT_FDCWD, "/proc", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}
	if err != nil {
		return fmt.Errorf("make the file system read-only (which takes Linux 5.12): %w", err)
	}
	return nil
}

// lockMounts gives a process a user namespace within the one here, with mounts of its own.
// What is read-only among those its root cannot make writable, nor take away: the mounts
// belong to the namespace around it (mount_namespaces(7), "locked").
func lockMounts(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
}
