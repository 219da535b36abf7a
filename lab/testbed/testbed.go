// Package testbed runs a program where a trial needs it: in private namespaces
// of this kernel (native), or in a user-mode-linux guest (uml) whose kernel has
// what this one may lack, IPVS above all.
//
// [Testbed.Run] is like exec.Cmd: arguments, environment, input and output
// writers in, exit code out. Nothing outlives it: the program is the first
// process of a PID namespace, which dies with the caller even if that is killed.
// The program runs as root there and as the calling user outside.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"viplab/modes"
)

// Command is a program to run in a testbed. Path and arguments mean the same
// inside as outside: both testbeds see the host's file system, read-only in the
// guest.
type Command struct {
	Args   []string // program first, an absolute path
	Env    []string // added to a minimal environment
	Dir    string   // "/" if empty
	Stdin  []byte
	Stdout io.Writer
	Stderr io.Writer
	// Input comes while the command runs, beside Stdin, which is all there at its start;
	// nil for none.
	Input *Input
	// MemoryMB is how much memory a guest gets, 2048 if 0. Only what the guest
	// touches is taken from the host.
	MemoryMB int
	// RealRoot asks testbed native for the rights of the host's root, if the
	// caller has them: iptables-nft needs larger socket buffers than a user
	// namespace may have. Network and mounts are private all the same.
	RealRoot bool
}

// CallerEnv is what a command needs in its environment to find the user's cache, if there is
// one, and the user's own programs. A guest sees both as folders of the host's.
func CallerEnv() []string {
	out := []string{modes.CallerPath + "=" + os.Getenv("PATH")}
	if dir, err := os.UserCacheDir(); err == nil {
		out = append(out, "XDG_CACHE_HOME="+dir)
	}
	return out
}

// Testbed is a place to run trials.
type Testbed interface {
	// Name is that of a user's choice, such as "native" or "uml".
	Name() string
	// Probe says what is missing for this testbed, as a [modes.MissingError].
	Probe(ctx context.Context) error
	// Run runs the command and returns its exit code. An error means that the
	// testbed failed, not the command: a [GuestError] if a guest died.
	Run(ctx context.Context, c Command) (int, error)
}

// Names of the testbeds, and of the choice among them.
const (
	NativeName = "native"
	UMLName    = "uml"
	Auto       = "auto"
)

// All lists the testbeds that auto chooses from, first the one that it prefers.
func All() []Testbed { return []Testbed{Native{}, &UML{}} }

// emulated lists those that are too slow to be chosen by anybody but the user.
func emulated() []Testbed { return []Testbed{QEMU{}, QEMU{Exact: true}} }

// Emulated tells whether the testbed of that name has an emulated processor.
func Emulated(name string) bool { return name == QEMUName || name == ExactName }

// Names lists the names of all testbeds.
func Names() (out []string) {
	for _, t := range append(All(), emulated()...) {
		out = append(out, t.Name())
	}
	return out
}

// Find is the testbed of that name.
func Find(name string) (Testbed, error) {
	for _, t := range append(All(), emulated()...) {
		if t.Name() == name {
			return t, nil
		}
	}
	return nil, fmt.Errorf("unknown testbed %q: valid are %s, %s", name, Auto, strings.Join(Names(), ", "))
}

// GuestError is the death of a guest: panic, out of memory, or killed.
type GuestError struct {
	// State is how the guest's process ended.
	State string
	// Console is the end of what the guest's kernel said.
	Console string
	// Booted tells that it came as far as to start this program.
	Booted bool
	// OutOfMemory tells that this machine's kernel killed something for memory meanwhile.
	OutOfMemory bool
}

// Error gives the state and the end of the console.
func (e *GuestError) Error() string {
	if e.Console == "" {
		return fmt.Sprintf("the guest died (%s) and its console is empty", e.State)
	}
	return fmt.Sprintf("the guest died (%s); the end of its console:\n%s", e.State, e.Console)
}

// missingNamespaces is why namespaces cannot be had.
func missingNamespaces(err error) error {
	return &modes.MissingError{
		Need: "user namespaces for ordinary users",
		Mend: "sudo sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=10000 (those that exist), or run as root",
		Err:  err,
	}
}

// tail keeps the last bytes that were written to it.
type tail struct {
	b   []byte
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - t.max; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// exitCode takes the exit code out of the error of exec.Cmd.Wait.
func exitCode(err error) (int, error) {
	var exit interface{ ExitCode() int }
	if err == nil {
		return 0, nil
	}
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), nil
	}
	return -1, err
}

// signalCode is the exit code of a process as a shell has it: 128 and the signal's number for
// one that a signal ended.
func signalCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}
