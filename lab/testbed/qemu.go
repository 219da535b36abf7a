package testbed

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"viplab/lab/kernel"
	"viplab/modes"
)

// QEMU runs commands in a throwaway virtual machine with a distribution's own kernel, with
// its modules, its BPF compiler and BTF. The processor is emulated (TCG), so everything is
// some twenty times slower than it is natively; the machine's files are copies in memory.
//
// If it is Exact, time is virtual: one instruction takes one nanosecond, where everything
// waits it goes on to when something is due, and nothing comes from the host. The same
// command then takes the same time to the nanosecond, on any machine: what is measured is
// instructions, without caches or memory.
type QEMU struct {
	Exact bool
}

// qemuTool is the emulator.
const qemuTool = "qemu-system-x86_64"

// Names of the testbed, and of the exact one.
const (
	QEMUName  = "qemu"
	ExactName = "qemu-exact"
)

// wiresEnv is the variable, on the guest kernel's command line, that says what the names of
// its wires to the outside begin with, where they are no consoles.
const wiresEnv = "VIPLAB_WIRES"

// qemuWires are serial ports.
const qemuWires = "/dev/ttyS"

// qemuWork is where the guest finds its orders.
const qemuWork = "/viplab-guest"

// Name implements [Testbed].
func (q QEMU) Name() string {
	if q.Exact {
		return ExactName
	}
	return QEMUName
}

// Probe implements [Testbed]. It boots nothing.
func (QEMU) Probe(context.Context) error {
	if _, err := kernel.LookTool(qemuTool); err != nil {
		return &modes.MissingError{Need: "the emulator " + qemuTool, Mend: "sudo apt-get install qemu-system-x86", Err: err}
	}
	_, err := kernel.NewestImage()
	return err
}

// qemuSpec is what the outside tells the process that starts the machine, and the guest.
type qemuSpec struct {
	umlSpec
	Exact bool
}

// Run implements [Testbed]. A command with an Input is refused.
func (q QEMU) Run(ctx context.Context, c Command) (int, error) {
	if err := q.Probe(ctx); err != nil {
		return -1, err
	}
	if c.Input != nil {
		return -1, fmt.Errorf("testbed %s takes no input while a command runs: use testbed %s or %s", q.Name(), UMLName, NativeName)
	}
	image, err := kernel.NewestImage()
	if err != nil {
		return -1, err
	}
	self, err := os.Executable()
	if err != nil {
		return -1, fmt.Errorf("find own program: %w", err)
	}
	spec := qemuSpec{Exact: q.Exact, umlSpec: umlSpec{
		Kernel: image.Path, Modules: image.Modules, MemoryMB: max(c.MemoryMB, 2048), Init: self, Args: c.Args, Env: c.Env, Dir: "/", Stdin: c.Stdin, Private: true,
	}}
	if spec.Work, err = mountPoint(); err != nil {
		return -1, err
	}
	j, err := findJail(ctx, false, false)
	if err != nil {
		return -1, err
	}
	g := &guest{stdout: c.Stdout, stderr: c.Stderr, console: &tail{max: consoleKept}}
	return g.run(ctx, j, RoleQEMU, spec)
}

// EnterQEMU is the body of [RoleQEMU]: it makes the guest's files inside the jail, starts
// the machine and waits for it.
func EnterQEMU() error {
	var spec qemuSpec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read the guest's orders: %w", err)
	}
	if err := readOnly(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", spec.Work, "tmpfs", 0, "mode=700,size=95%"); err != nil {
		return fmt.Errorf("mount the guest's files on %s: %w", spec.Work, err)
	}
	files := filepath.Join(spec.Work, "initramfs")
	if err := spec.write(files); err != nil {
		return err
	}
	tool, err := kernel.LookTool(qemuTool)
	if err != nil {
		return fmt.Errorf("start the guest: %w", err)
	}
	cmd := exec.Command(tool, spec.arguments(files)...)
	cmd.Env = []string{"TMPDIR=" + spec.Work, "HOME=" + spec.Work, "PATH=" + toolPath}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for fd := 3; fd <= 5; fd++ {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "wire"))
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", tool, err)
	}
	return nil
}

// write makes the file system of the guest.
func (s qemuSpec) write(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the guest's files: %w", err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	a, err := newInitramfs(w)
	if err != nil {
		return err
	}
	orders, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the guest's orders: %w", err)
	}
	steps := []func() error{
		func() error { return a.text(filepath.Join(qemuWork, ordersFile), orders) },
		func() error { return a.host(s.Init) },
		func() error { return a.link("/init", s.Init) },
		func() error { return a.program(s.Args[0]) },
		a.tools,
		func() error { return a.modules(s.Modules) },
		a.w.Close,
		w.Flush,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// arguments are the machine's.
func (s qemuSpec) arguments(files string) []string {
	out := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", fmt.Sprint(s.MemoryMB),
		"-accel", "tcg,thread=single", "-cpu", "max",
		"-kernel", s.Kernel, "-initrd", files,
		"-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on nokaslr " + GuestEnv + "=" + qemuWork + " " + wiresEnv + "=" + qemuWires,
		// The first port is the kernel's console, the others the wires.
		"-serial", "stdio",
	}
	for i, fd := 0, 3; fd <= 5; i, fd = i+1, fd+1 {
		out = append(out, "-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, i+1),
			"-chardev", fmt.Sprintf("file,id=wire%d,path=/dev/fdset/%d,append=on", i, i+1), "-serial", fmt.Sprintf("chardev:wire%d", i))
	}
	if s.Exact {
		out = append(out, "-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01T00:00:00,clock=vm", "-seed", "1")
	}
	return out
}
