// Package shell puts a command where a trial would run: beside the lab's three
// namespaces, with Services programmed in the node's by a mode and servers behind every
// endpoint. The command starts in the node's namespace as root of the testbed, and finds
// further commands there, see [Commands].
package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"viplab/lab/testbed"
	"viplab/modes"
)

// Job is what to set up, and the command to run in it.
type Job struct {
	Mode string     `json:"mode"`
	Args modes.Args `json:"args,omitempty"`
	// Family is that of the Services, Snapshot all of them; each endpoint is in the
	// lab's range for endpoints.
	Family   modes.Family   `json:"family"`
	Snapshot modes.Snapshot `json:"snapshot"`
	// Command is looked for in the testbed's PATH.
	Command []string `json:"command"`
	// Dir is where the command starts, and Env is added to its environment.
	Dir string   `json:"dir"`
	Env []string `json:"env,omitempty"`
	// Terminal says that the command has one.
	Terminal bool `json:"terminal,omitempty"`
	// Hello is shown on the terminal when everything stands.
	Hello bool `json:"hello,omitempty"`
	// ProxyCommand starts the userspace proxy.
	ProxyCommand []string `json:"proxy_command"`
}

// Streams are what a command reads and writes.
type Streams struct {
	Input          testbed.Input
	Stdout, Stderr io.Writer
	// Started is called when a command with a terminal runs, which may never write
	// anything; nil for nobody to be told.
	Started func()
}

// In runs a job in a testbed, by a process of the given role, and returns the exit code of
// its command. needsRoot says that the mode needs the rights of the host's root.
func In(ctx context.Context, tb testbed.Testbed, role string, job Job, needsRoot bool, s Streams) (int, error) {
	if err := testbed.Room(endpoints(job.Snapshot)); err != nil {
		return -1, err
	}
	self, err := os.Executable()
	if err != nil {
		return -1, fmt.Errorf("find own program: %w", err)
	}
	job.ProxyCommand, job.Terminal = []string{self, testbed.RoleProxy}, s.Input.Terminal
	order, err := json.Marshal(job)
	if err != nil {
		return -1, fmt.Errorf("encode what to set up: %w", err)
	}
	stderr := s.Stderr
	if s.Input.Terminal {
		n := &notice{w: s.Stderr, started: s.Started}
		defer n.flush()
		stderr = n
	}
	return tb.Run(ctx, testbed.Command{
		Args: []string{self, role}, Stdin: order, Input: &s.Input, Stdout: s.Stdout, Stderr: stderr,
		Env: testbed.CallerEnv(), MemoryMB: memoryMB(job.Snapshot), RealRoot: needsRoot,
	})
}

// startedWord is what the process in the testbed says on its stderr when a command with a
// terminal runs. What such a command writes goes to its terminal.
const startedWord = "\x00started\n"

// notice takes the startedWord out of a process's stderr, and holds back what comes before it.
type notice struct {
	w       io.Writer
	started func() // called at the word, may be nil
	said    bool
	held    []byte
}

// Write takes what the process says.
func (n *notice) Write(p []byte) (int, error) {
	if n.said {
		return n.w.Write(p)
	}
	n.held = append(n.held, p...)
	before, after, said := bytes.Cut(n.held, []byte(startedWord))
	if !said {
		return len(p), nil
	}
	n.said, n.held = true, slices.Concat(before, after)
	if n.started != nil {
		n.started()
	}
	n.flush()
	return len(p), nil
}

// flush writes what was held back.
func (n *notice) flush() {
	if len(n.held) > 0 {
		_, _ = n.w.Write(n.held)
		n.held = nil
	}
}

// memoryMB is what a guest needs for so many Services: the rules twice while they are
// replaced, and the tools.
func memoryMB(s modes.Snapshot) int { return 2048 + endpoints(s)*60/1024 }

// endpoints is how many there are on all ports together.
func endpoints(s modes.Snapshot) (n int) {
	for _, svc := range s.Services {
		n += len(svc.Ports) * max(2, len(svc.Endpoints))
	}
	return n
}

// Exit codes of commands that could not be started, as shells have them.
const (
	exitNotStarted = 126
	exitNotFound   = 127
)

// exitCode is what a shell would say of how a command ended.
func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// startCode is what a shell would say of a command that did not start.
func startCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return exitNotFound
	}
	return exitNotStarted
}

// Interactive is the shell for people: bash where there is one.
func Interactive() []string {
	if path, err := exec.LookPath("bash"); err == nil {
		return []string{path, "--norc"}
	}
	return []string{"/bin/sh"}
}

// Environment is what of the caller's environment a command gets too: what terminals and
// languages are told by.
func Environment() (out []string) {
	for _, name := range []string{"TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE"} {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return slices.Clip(out)
}
