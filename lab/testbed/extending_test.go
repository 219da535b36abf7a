package testbed

import (
	"context"
	"errors"
	"os/exec"
	"testing"
)

// Sandbox runs programs by a command that confines them, such as a container's.
type Sandbox struct{ Enter []string }

// Name implements [Testbed].
func (Sandbox) Name() string { return "sandbox" }

// Probe implements [Testbed].
func (s Sandbox) Probe(context.Context) error {
	_, err := exec.LookPath(s.Enter[0])
	return err
}

// Run implements [Testbed].
func (s Sandbox) Run(ctx context.Context, c Command) (int, error) {
	words := append(s.Enter, c.Args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, c.Stdout, c.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil // the command failed, not the testbed
	}
	return 0, err
}

// TestOneMoreTestbed runs the example of docs/extending.md.
func TestOneMoreTestbed(t *testing.T) {
	var tb Testbed = Sandbox{Enter: []string{"env", "-i"}}
	if err := tb.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: there is no env: %v", err)
	}
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7} {
		if code, err := tb.Run(t.Context(), Command{Args: []string{"/bin/sh", "-c", script}}); err != nil || code != want {
			t.Errorf("%s: code %d, %v", script, code, err)
		}
	}
}
