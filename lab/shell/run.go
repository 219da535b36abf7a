package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"viplab/analysis/summary"
	"viplab/lab/testbed"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
)

// Exit codes of a set-up that failed.
const (
	exitFailed  = 3
	exitMissing = 4 // something that the mode needs is missing
)

// Run sets a job up in the testbed that this process is in, and runs its command. What it
// returns is the command's exit code, or with an error one that says what failed, unless that
// came after the command. Of what was set up only what a mode holds outside of the node is let
// go: the rest goes with the testbed, when this process ends.
func Run(ctx context.Context, known catalog.Catalog, job Job) (code int, err error) {
	unix.CloseOnExec(testbed.InputFD)
	input := os.NewFile(testbed.InputFD, "input")
	mode, err := known.Find(job.Mode)
	if err == nil {
		err = mode.CheckArgs(job.Args, job.Family)
	}
	if err != nil {
		return exitFailed, err
	}
	proxier := mode.Make(job.Args, modes.Machine{Family: job.Family, ProxyCommand: job.ProxyCommand})
	net, err := setUp(ctx, proxier, mode.TraitsOf(job.Args), job)
	if net != nil {
		// What the Proxier holds must not be collected while the command runs: the kernel
		// keeps programs no longer than somebody holds them. The code stays the command's,
		// which may have broken anything.
		defer func() {
			err = errors.Join(err, net.Node.Do(func() error { return modes.Leave(proxier) }))
		}()
	}
	if modes.IsMissing(err) {
		return exitMissing, err
	}
	if err == nil {
		err = writeCommands(net, job)
	}
	if err != nil {
		return exitFailed, err
	}
	if job.Hello {
		hello(input, job)
	}
	return job.run(net.Node, input)
}

// setUp makes the network, its servers, and programs the Services. The network that it
// returns with an error is one in which the Proxier may have begun.
func setUp(ctx context.Context, proxier modes.Proxier, traits modes.Traits, job Job) (*topo.Topology, error) {
	net, err := topo.Build(topo.Options{Family: job.Family, DirectServerReturn: traits.DirectServerReturn, Tunnel: traits.Tunnel, SamePort: traits.DirectServerReturn})
	if err != nil {
		return nil, err
	}
	if !traits.DirectServerReturn { // there the backend answers for the VIPs itself
		if err := net.LetPodsDial(); err != nil {
			return nil, err
		}
	}
	if err := serve(net.Backend, job); err != nil {
		return nil, err
	}
	if len(job.Snapshot.Node.Addrs) == 0 {
		job.Snapshot.Node.Addrs = topo.NodeAddrs()
	}
	snap, err := job.Snapshot.Normal()
	if err != nil {
		return nil, err
	}
	err = net.Node.Do(func() error {
		if err := proxier.Probe(ctx); err != nil {
			return err
		}
		_, err := proxier.Sync(ctx, snap)
		return err
	})
	if err != nil {
		return net, fmt.Errorf("program the Services: %w", err)
	}
	return net, nil
}

// path is where the command is: in the PATH, or, if its name is a path, seen from where the
// job starts it, which need not be where this process is.
func (job Job) path() (string, error) {
	name := job.Command[0]
	if strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name) {
		name = job.Dir + string(filepath.Separator) + name // as it is: what it names may be a link
	}
	return exec.LookPath(name)
}

// run starts the command in the node's namespace and waits for it.
func (job Job) run(node *topo.Namespace, input *os.File) (int, error) {
	path, err := job.path()
	if err != nil {
		return startCode(err), fmt.Errorf("%s: %w", job.Command[0], errors.Unwrap(err))
	}
	cmd := exec.Command(path, job.Command[1:]...)
	cmd.Args[0] = job.Command[0]
	cmd.Dir, cmd.Env = job.Dir, append(os.Environ(), job.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, os.Stdout, os.Stderr
	if job.Terminal {
		cmd.Stdout, cmd.Stderr = input, input
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	if err := node.Do(cmd.Start); err != nil {
		return startCode(err), fmt.Errorf("start %s: %w", job.Command[0], err)
	}
	if job.Terminal {
		fmt.Fprint(os.Stderr, startedWord)
	}
	// What it left running in the background would keep the terminal.
	_ = input.Close()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) {
		return exitCode(cmd.ProcessState), nil
	}
	return exitFailed, fmt.Errorf("wait for %s: %w", job.Command[0], err)
}

// hello tells people where they are.
func hello(w io.Writer, job Job) {
	first := job.Snapshot.Services[0]
	fmt.Fprintf(w, "%s in mode %s; you are in the node's namespace.\n", summary.CountServices(len(job.Snapshot.Services)), job.Mode)
	fmt.Fprintf(w, "Commands: services, client CMD, node CMD, backend CMD. Try: client curl %s\n", urlOf(first))
}
