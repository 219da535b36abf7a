package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"viplab/lab/cache"
	"viplab/lab/kernel"
	"viplab/modes"
)

// UML runs commands in a throwaway user-mode-linux guest: a Linux kernel that is
// an ordinary process. Its root is the host's file system, read-only, and its
// init is this program. It needs no root, no image and no KVM.
//
// The guest is alone in a PID namespace and keeps its files (identity, memory)
// in a tmpfs of its own mount namespace, so killing it, or its parent, removes
// everything at once. Where no namespaces can be had at all it runs without
// them, in a temporary directory.
type UML struct {
	// Kernel is the guest's; the zero value is the packaged one, looked for when
	// it is needed.
	Kernel kernel.Kernel
	// TimeTravel lets the guest's time pass by itself: what computes takes none, and
	// where everything waits it goes on at once to when something is due.
	TimeTravel bool
	// CPUs is how many processors the guest has, 1 if 0.
	CPUs int
}

// WithKernel is the testbed uml with that kernel in its guests.
func WithKernel(k kernel.Kernel) *UML { return &UML{Kernel: k} }

// guestMark is the argument that every guest's kernel is started with.
const guestMark = "umid=guest"

// umlSpec is what the outside tells the guest.
type umlSpec struct {
	Work     string   // directory that holds the guest's files
	Private  bool     // Work is a mount point for a tmpfs
	Locked   bool     // in a user namespace, within which mounts can be locked
	Kernel   string   // path of its executable
	Boot     []string // further arguments of its command line
	Modules  string   // folder of its modules, empty if it has none
	Preload  string   // path of the ptrace library, empty if not needed
	CPU      int      // that the guest stays on, -1 for any
	MemoryMB int
	Init     string // this program
	Args     []string
	Env      []string
	Dir      string
	Stdin    []byte
	// Input says that a wire brings an Input, Terminal and Size what that is like.
	Input    bool
	Terminal bool
	Size     Size
}

// Name implements [Testbed].
func (*UML) Name() string { return UMLName }

// Probe implements [Testbed]. It boots nothing.
func (u *UML) Probe(ctx context.Context) error {
	k, err := u.kernel(ctx)
	if err != nil {
		return err
	}
	if u.TimeTravel {
		if err := k.Takes(ctx, kernel.TimeTravel()); err != nil {
			return err
		}
	}
	if u.CPUs > 1 {
		if err := k.Takes(ctx, kernel.Processors()); err != nil {
			return err
		}
	}
	if k.Modules != "" {
		if _, err := kernel.LookTool("modprobe"); err != nil {
			return &modes.MissingError{Need: "kmod", Mend: "sudo apt-get install kmod", Err: err}
		}
	}
	if shimNeeded(k) {
		if _, err := kernel.LookTool("cc"); err != nil {
			return &modes.MissingError{Need: "a C compiler, for user-mode-linux on this CPU (AMX)", Mend: "sudo apt-get install gcc libc6-dev", Err: err}
		}
	}
	return nil
}

// kernel is the one that guests get.
func (u *UML) kernel(ctx context.Context) (kernel.Kernel, error) {
	if u.Kernel.Path == "" {
		return kernel.Packaged(ctx)
	}
	if _, err := os.Stat(u.Kernel.Path); err != nil {
		return u.Kernel, &modes.MissingError{Need: "guest kernel " + u.Kernel.Name, Mend: "viplab kernel list names those that are there", Err: err}
	}
	return u.Kernel, nil
}

// Run implements [Testbed].
func (u *UML) Run(ctx context.Context, c Command) (int, error) {
	if err := u.Probe(ctx); err != nil {
		return -1, err
	}
	k, err := u.kernel(ctx)
	if err != nil {
		return -1, err
	}
	spec, err := u.spec(k, c)
	if err != nil {
		return -1, err
	}
	j, err := findJail(ctx, false, false)
	if err != nil {
		// Neither user namespaces nor root: no PID namespace to kill the
		// guest's processes with, so the library makes them die with it.
		j, spec.Private = jail{name: "none"}, false
		if spec.Work, err = cache.Temp(spaceless(os.TempDir()), "viplab-guest-"); err != nil {
			return -1, err
		}
		defer os.RemoveAll(spec.Work)
	}
	spec.Locked = j.name == userJail
	if !spec.Private || shimNeeded(k) {
		var done func()
		if spec.Preload, done, err = shim(); err != nil {
			return -1, err
		}
		defer done()
	}
	g := &guest{stdout: c.Stdout, stderr: c.Stderr, input: c.Input, console: &tail{max: consoleKept}}
	code, err := g.run(ctx, j, RoleUML, spec)
	return code, unbootable(k, err)
}

// unbootable says of a guest that died before it could start anything that its kernel is
// to blame, unless the memory of this machine is.
func unbootable(k kernel.Kernel, err error) error {
	var died *GuestError
	if !errors.As(err, &died) || died.Booted || died.OutOfMemory {
		return err
	}
	return &modes.MissingError{Need: "a kernel that boots in the guest, which " + k.Path + " does not", Mend: k.Rebuild(), Err: err}
}

// spaceless is a folder for temporary files whose path can be a word of a kernel's command
// line.
func spaceless(dir string) string {
	if strings.ContainsFunc(dir, unicode.IsSpace) {
		return "/tmp"
	}
	return dir
}

func (u *UML) spec(k kernel.Kernel, c Command) (umlSpec, error) {
	self, err := os.Executable()
	if err != nil {
		return umlSpec{}, fmt.Errorf("find own program: %w", err)
	}
	s := umlSpec{
		Kernel: k.Path, Boot: k.Args, Modules: k.Modules, MemoryMB: c.MemoryMB, Init: self, CPU: freeCPU(),
		Args: c.Args, Env: c.Env, Dir: c.Dir, Stdin: c.Stdin, Private: true,
	}
	if u.TimeTravel {
		s.Boot, s.Env = append(slices.Clone(s.Boot), travelArgs()...), append(travelEnv(), c.Env...)
	}
	if u.CPUs > 1 {
		s.Boot = append(slices.Clone(s.Boot), kernel.Processors().String()+strconv.Itoa(u.CPUs))
		s.CPU = -1
	}
	if c.Input != nil {
		s.Input, s.Terminal, s.Size = true, c.Input.Terminal, c.Input.Size
	}
	if s.MemoryMB == 0 {
		s.MemoryMB = 2048
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	s.Work, err = mountPoint()
	return s, err
}

// travelStart is the wall clock at the start of a guest whose time travels, always the same:
// 2026-01-01 in nanoseconds.
const travelStart = 1767225600_000000000

func travelArgs() []string {
	return []string{kernel.TimeTravel().String() + "inf-cpu", "time-travel-start=" + strconv.Itoa(travelStart)}
}

// travelEnv keeps Go's collector out of the way. While a thread computes no time passes, so
// it is never preempted, and one that waits for another by looking again and again, as the
// collector's sweeper does, looks for ever.
func travelEnv() []string { return []string{"GOGC=off"} }

// mountPoint is an empty folder: the guest's tmpfs covers it, for the guest alone, and hides
// nothing that a command may need. It is one of the user's cache, which all guests share,
// or, where there is no such or its path has spaces, one that the system keeps for mounts.
func mountPoint() (string, error) {
	dirs := []string{"/mnt", "/media", "/srv", "/opt", "/home"}
	own, err := cache.Dir("guest")
	if err == nil && strings.ContainsFunc(own, unicode.IsSpace) {
		err = fmt.Errorf("%s has spaces, which the guest's kernel cannot be told", own)
	}
	if err == nil {
		dirs = append([]string{own}, dirs...)
	}
	for _, dir := range dirs {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 {
			return dir, nil
		}
	}
	return "", &modes.MissingError{Need: "an empty folder to mount the guest's files on (of " + strings.Join(dirs, ", ") + ")",
		Mend: "set XDG_CACHE_HOME to a folder of your own, without spaces", Err: err}
}

// guest is one running guest, seen from outside.
type guest struct {
	stdout, stderr io.Writer
	input          *Input
	console        *tail
}

func (g *guest) run(ctx context.Context, j jail, role string, spec any) (int, error) {
	cmd, err := j.command(ctx, role)
	if err != nil {
		return -1, err
	}
	input, err := json.Marshal(spec)
	if err != nil {
		return -1, fmt.Errorf("encode the guest's orders: %w", err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), g.console, g.console
	cmd.WaitDelay = 5 * time.Second
	control := &control{ready: make(chan struct{})}
	var copies sync.WaitGroup
	var ends []*os.File
	for _, to := range []io.Writer{g.stdout, g.stderr, control} {
		r, w, err := os.Pipe()
		if err != nil {
			return -1, fmt.Errorf("make a pipe for the guest: %w", err)
		}
		cmd.ExtraFiles, ends = append(cmd.ExtraFiles, w), append(ends, w)
		copies.Go(func() {
			defer r.Close()
			if to == nil {
				to = io.Discard
			}
			_, _ = io.Copy(to, r)
		})
	}
	in, out, err := os.Pipe()
	if err != nil {
		return -1, fmt.Errorf("make a pipe for the guest: %w", err)
	}
	defer out.Close()
	cmd.ExtraFiles, ends = append(cmd.ExtraFiles, in), append(ends, in)
	if g.input != nil {
		over := make(chan struct{})
		defer close(over)
		go func() {
			select {
			case <-control.ready:
				g.input.send(out, over)
			case <-over:
			}
		}()
	}
	kills := oomKills()
	err = cmd.Start()
	for _, w := range ends {
		w.Close()
	}
	if err != nil {
		copies.Wait()
		return -1, fmt.Errorf("start the guest: %w", err)
	}
	werr := cmd.Wait()
	copies.Wait()
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	code, err := g.verdict(control.text.String(), werr)
	var died *GuestError
	if errors.As(err, &died) && oomKills() > kills {
		died.OutOfMemory = true
		died.State += "; the memory of this machine was used up meanwhile, and its kernel has killed a process"
	}
	return code, err
}

// readyWord is what a guest says on the control wire when it takes input.
const readyWord = "ready\n"

// control is what a guest says on the control wire.
type control struct {
	text  bytes.Buffer
	ready chan struct{} // closed by the readyWord
}

// Write takes what the guest says.
func (c *control) Write(p []byte) (int, error) {
	had := bytes.Contains(c.text.Bytes(), []byte(readyWord))
	n, err := c.text.Write(p)
	if !had && bytes.Contains(c.text.Bytes(), []byte(readyWord)) {
		close(c.ready)
	}
	return n, err
}

// verdict reads the guest's last word; without one it died.
func (g *guest) verdict(control string, werr error) (int, error) {
	for line := range strings.Lines(control) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "exit "); ok {
			if code, err := strconv.Atoi(text); err == nil {
				return code, nil
			}
		}
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "error "); ok {
			return -1, fmt.Errorf("inside the guest: %s", text)
		}
	}
	state := "power off without a last word"
	if werr != nil {
		state = werr.Error()
	}
	return -1, &GuestError{State: state, Console: consoleTail(string(g.console.b)), Booted: strings.Contains(control, upWord)}
}

// consoleKept is how many bytes of a console are kept, and consoleLines how much is told.
const (
	consoleKept  = 16 << 10
	consoleLines = 20
)

// consoleTail drops what every boot says. A panic is told by its first line, too, which the
// kernel's stack would push out.
func consoleTail(s string) string {
	var keep []string
	panicked := -1
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "SELinux:") || strings.HasPrefix(line, "mmapper_init") || strings.HasPrefix(line, "Failed to initialize ubd") || line == "" {
			continue
		}
		if panicked < 0 && strings.Contains(line, "Kernel panic") {
			panicked = len(keep)
		}
		keep = append(keep, line)
	}
	from := max(0, len(keep)-consoleLines)
	if panicked >= 0 && panicked < from {
		keep[from] = keep[panicked]
	}
	return strings.Join(keep[from:], "\n")
}

// EnterUML is the body of [RoleUML]: it prepares the guest's files from inside
// the jail, starts the guest's kernel and waits for it. It must not become the
// kernel itself: process 1 of a PID namespace cannot be killed by a signal of its
// own, which is how a guest that panics ends.
func EnterUML() error {
	var spec umlSpec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read the guest's orders: %w", err)
	}
	if err := spec.secure(); err != nil {
		return err
	}
	orders, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode the guest's orders: %w", err)
	}
	if err := os.WriteFile(filepath.Join(spec.Work, ordersFile), orders, 0o600); err != nil {
		return fmt.Errorf("write the guest's orders: %w", err)
	}
	if spec.CPU >= 0 {
		var one unix.CPUSet
		one.Set(spec.CPU)
		_ = unix.SchedSetaffinity(0, &one) // slower without, but right
	}
	env := []string{"TMPDIR=" + spec.Work, "HOME=" + spec.Work, "PATH=" + toolPath}
	init, err := spec.link("init", spec.Init)
	if err != nil {
		return err
	}
	if spec.Preload != "" {
		preload, err := spec.link("preload.so", spec.Preload)
		if err != nil {
			return err
		}
		env = append(env, "LD_PRELOAD="+preload)
	}
	cmd := exec.Command(spec.Kernel, append([]string{
		fmt.Sprintf("mem=%dM", spec.MemoryMB),
		"root=/dev/root", "rootfstype=hostfs", "ro", "init=" + init,
		// The consoles are the wires to the outside: kernel messages,
		// standard output, standard error, the last word, and input.
		"con=null", "con0=null,fd:1", "con1=null,fd:3", "con2=null,fd:4", "con3=null,fd:5", "con4=fd:6,null",
		guestMark, "uml_dir=" + spec.Work, "quiet", GuestEnv + "=" + spec.Work,
	}, spec.Boot...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if spec.Locked {
		lockMounts(cmd.SysProcAttr)
	}
	for fd := 3; fd <= 6; fd++ {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "wire"))
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", spec.Kernel, err)
	}
	return nil
}

// secure lets the guest, whose root can write to whatever its kernel's process can, write to
// nothing of the host's but the folder of its own files.
func (spec *umlSpec) secure() error {
	if !spec.Private {
		return onlyWrites(spec.Work)
	}
	if err := readOnly(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", spec.Work, "tmpfs", 0, "mode=700,size=95%"); err != nil {
		return fmt.Errorf("mount the guest's files on %s: %w", spec.Work, err)
	}
	// A user namespace within is set up by way of /proc, which has to be that of this PID
	// namespace. Where it cannot be had (in containers) the guest's kernel could undo what is
	// read-only, but not the root of the guest, which has no hold on the mounts of its host.
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		spec.Locked = false
	}
	return nil
}

// link is a name for a file among the guest's own, without the spaces that its path may have:
// those part the words of a kernel's command line, and of LD_PRELOAD.
func (spec umlSpec) link(name, path string) (string, error) {
	at := filepath.Join(spec.Work, name)
	if err := os.Symlink(path, at); err != nil {
		return "", fmt.Errorf("link %s: %w", path, err)
	}
	return at, nil
}
