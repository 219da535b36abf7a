package testbed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// GuestEnv is the variable, given on the guest kernel's command line, that
// makes this program the guest's init. Its value is the directory of the orders.
const GuestEnv = "VIPLAB_GUEST"

const ordersFile = "orders.json"

// consoles are the wires to the outside of a guest of user-mode-linux.
const consoles = "/dev/tty"

// conntrackMax is the guest's limit of conntrack entries: its default, 65536
// with 2 GB, is less than a few seconds of new connections leave behind.
const conntrackMax = "1048576"

// upWord is the first that a guest says on the control wire: its kernel has booted.
const upWord = "up\n"

// GuestInit is process 1 of a guest: it mounts what a program expects, runs the
// command of its orders, says how that ended, and powers off. It never returns.
func GuestInit() {
	wire := os.Getenv(wiresEnv)
	if wire != "" {
		// The first file system is of memory, with nothing mounted.
		_ = unix.Mount("dev", "/dev", "devtmpfs", 0, "mode=755")
	} else {
		wire = consoles
	}
	if first, err := openTTY(wire + "3"); err == nil {
		_, _ = first.WriteString(upWord)
		_ = first.Close()
	}
	code, err := guestMain(os.Getenv(GuestEnv), wire)
	if last, oerr := openTTY(wire + "3"); oerr == nil {
		if err != nil {
			fmt.Fprintf(last, "error %v\n", err)
		} else {
			fmt.Fprintf(last, "exit %d\n", code)
		}
		drain(last)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	// Process 1 must not end, or the kernel would panic.
	time.Sleep(time.Hour)
}

func guestMain(work, wire string) (int, error) {
	b, err := os.ReadFile(filepath.Join(work, ordersFile))
	if err != nil {
		return 0, fmt.Errorf("read orders: %w", err)
	}
	var spec umlSpec
	if err := json.Unmarshal(b, &spec); err != nil {
		return 0, fmt.Errorf("read orders: %w", err)
	}
	if err := guestMounts(); err != nil {
		return 0, err
	}
	switch {
	case wire != consoles:
		if out, err := exec.Command("/sbin/modprobe", "-a", "nf_conntrack").CombinedOutput(); err != nil {
			return 0, fmt.Errorf("load modules: %w: %s", err, out)
		}
	case spec.Modules != "":
		if err := guestModules(spec.Modules); err != nil {
			return 0, err
		}
	}
	if err := guestSysctls(); err != nil {
		return 0, err
	}
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	return guestCommand(spec, wire)
}

func guestMounts() error {
	// Files of the host may be set-user-ID and seem to belong to somebody
	// else than root here; such a program would lose its rights.
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID, ""); err != nil {
		return fmt.Errorf("remount / without set-user-ID: %w", err)
	}
	for _, m := range []struct{ fs, at, options string }{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"tmpfs", "/run", "mode=755"},
	} {
		if err := unix.Mount(m.fs, m.at, m.fs, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for _, l := range [][2]string{{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}} {
		if err := os.Symlink(l[0], l[1]); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("link %s: %w", l[1], err)
		}
	}
	return os.MkdirAll("/run/tmp", 0o777)
}

// modprobeScript stands in for /sbin/modprobe, for the kernel and for programs:
// the guest's modules are not below /lib/modules, and / cannot be written.
const modprobeScript = `#!/bin/sh
exec /sbin/modprobe -d /run/uml "$@"
`

// guestModules lets the guest's kernel load its modules from the folder. A kernel
// with everything built in has none, and no /proc/sys/kernel/modprobe either.
func guestModules(dir string) error {
	if err := os.MkdirAll("/run/uml/lib/modules", 0o755); err != nil {
		return fmt.Errorf("link the guest's modules: %w", err)
	}
	if err := os.Symlink(dir, filepath.Join("/run/uml/lib/modules", filepath.Base(dir))); err != nil {
		return fmt.Errorf("link the guest's modules: %w", err)
	}
	if err := os.MkdirAll("/run/bin", 0o755); err != nil {
		return fmt.Errorf("make /run/bin: %w", err)
	}
	if err := os.WriteFile("/run/bin/modprobe", []byte(modprobeScript), 0o755); err != nil {
		return fmt.Errorf("write modprobe: %w", err)
	}
	if err := os.WriteFile("/proc/sys/kernel/modprobe", []byte("/run/bin/modprobe"), 0); err != nil {
		return fmt.Errorf("set kernel.modprobe: %w", err)
	}
	// ipv6 would come with ip_vs in the middle of a trial, and give addresses
	// to links that are there already.
	if out, err := exec.Command("/run/bin/modprobe", "-a", "nf_conntrack", "ipv6").CombinedOutput(); err != nil {
		return fmt.Errorf("load modules: %w: %s", err, out)
	}
	return nil
}

// guestSysctls makes room for the connections of a trial.
func guestSysctls() error {
	for path, value := range map[string]string{
		"/proc/sys/net/netfilter/nf_conntrack_max":     conntrackMax,
		"/sys/module/nf_conntrack/parameters/hashsize": "262144",
		"/proc/sys/fs/nr_open":                         "1048576",
	} {
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", path, err)
		}
	}
	return nil
}

func guestCommand(spec umlSpec, wire string) (int, error) {
	stdin, err := os.CreateTemp("/run", "stdin")
	if err != nil {
		return 0, fmt.Errorf("make the command's input: %w", err)
	}
	if _, err := stdin.Write(spec.Stdin); err != nil {
		return 0, fmt.Errorf("make the command's input: %w", err)
	}
	if _, err := stdin.Seek(0, 0); err != nil {
		return 0, fmt.Errorf("make the command's input: %w", err)
	}
	cmd := exec.Command(spec.Args[0], spec.Args[1:]...)
	stdout, err := openTTY(wire + "1")
	if err != nil {
		return 0, err
	}
	stderr, err := openTTY(wire + "2")
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = stdin, stdout, stderr, spec.Dir
	input, err := guestInput(spec, cmd, stdout)
	if err != nil {
		return 0, err
	}
	// The kernel gave init a bare environment; programs look for tools.
	os.Clearenv()
	cmd.Env = append([]string{"PATH=/run/bin:" + toolPath, "HOME=/run", "TMPDIR=/run/tmp", "LANG=C"}, spec.Env...)
	if err = cmd.Start(); err == nil {
		input.started()
		err = cmd.Wait()
	}
	input.ended()
	drain(stdout)
	drain(stderr)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 0 {
		code := signalCode(exit.ProcessState)
		return code, memoryUsedUp(code, 0, fmt.Sprintf("the guest (%d MB)", spec.MemoryMB))
	}
	return exitCode(err)
}

// guestInput gives the command what comes on the wire of the input, if something does.
func guestInput(spec umlSpec, cmd *exec.Cmd, stdout *os.File) (*joint, error) {
	if !spec.Input {
		return nil, nil
	}
	if err := guestTerminals(); err != nil {
		return nil, err
	}
	wire, err := openTTY("/dev/tty4")
	if err != nil {
		return nil, err
	}
	j, err := newJoint(spec.Terminal, spec.Size, stdout)
	if err != nil {
		return nil, err
	}
	j.give(cmd)
	go func() { _ = j.receive(wire) }()
	control, err := openTTY("/dev/tty3")
	if err != nil {
		return nil, err
	}
	defer control.Close()
	_, err = control.WriteString(readyWord)
	return j, err
}

// guestTerminals makes a place for terminals.
func guestTerminals() error {
	const at = "/dev/pts"
	if err := os.MkdirAll(at, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", at, err)
	}
	if err := unix.Mount("devpts", at, "devpts", 0, "mode=620,ptmxmode=666"); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	return nil
}

// openTTY opens a console as a plain wire: no line editing, no new lines added.
func openTTY(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("set up %s: %w", path, err)
	}
	t.Oflag &^= unix.OPOST
	t.Iflag &^= unix.ICRNL | unix.INLCR | unix.IGNCR | unix.IXON | unix.ISTRIP | unix.BRKINT | unix.PARMRK
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("set up %s: %w", path, err)
	}
	return f, nil
}

// drain waits until the outside has all that was written.
func drain(f *os.File) {
	_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1)
}
