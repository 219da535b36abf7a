package cli

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"viplab/lab/shell"
	"viplab/lab/testbed"
)

// atTerminal runs a command with the streams of this process. Where both input and output
// are a terminal the command gets one too, of the same size, and this one is raw meanwhile:
// every key, Control-C among them, is the command's.
func atTerminal(cmd *cobra.Command, s *shell.Streams, run func(context.Context) (int, error)) (int, error) {
	in, isIn := cmd.InOrStdin().(*os.File)
	out, isOut := stdout(cmd).(*os.File)
	if !isIn || !isOut || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return run(cmd.Context())
	}
	resized := make(chan testbed.Size, 1)
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	defer signal.Stop(changes)
	go func() {
		for range changes {
			resized <- sizeOf(out)
		}
	}()
	// Lines on stderr would run off a raw terminal.
	var errs bytes.Buffer
	ctx, hangUp := context.WithCancel(cmd.Context())
	defer hangUp()
	raw := &rawTerminal{in: in, out: out, ready: make(chan struct{}), hangUp: hangUp}
	s.Input = testbed.Input{From: raw, Terminal: true, Size: sizeOf(out), Resized: resized}
	s.Stdout, s.Stderr, s.Started = raw, &errs, raw.begin
	defer raw.restore()
	code, err := run(ctx)
	raw.restore()
	_, _ = cmd.ErrOrStderr().Write(errs.Bytes())
	return code, err
}

func sizeOf(f *os.File) testbed.Size {
	cols, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return testbed.Size{Rows: 24, Cols: 80}
	}
	return testbed.Size{Rows: uint16(rows), Cols: uint16(cols)}
}

// rawTerminal is one that becomes raw when the command runs, or something is written to it:
// until then Control-C ends the set-up.
type rawTerminal struct {
	in, out *os.File
	ready   chan struct{} // closed when it is raw
	hangUp  func()        // called when the terminal is gone

	mu    sync.Mutex
	began bool
	old   *term.State // what to go back to
}

// begin makes the terminal raw, the first time.
func (t *rawTerminal) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began {
		return
	}
	t.began = true
	if old, err := term.MakeRaw(int(t.in.Fd())); err == nil {
		t.old = old
	}
	close(t.ready)
}

// Write shows what the command writes.
func (t *rawTerminal) Write(p []byte) (int, error) {
	t.begin()
	return t.out.Write(p)
}

// Read waits for keys.
func (t *rawTerminal) Read(p []byte) (int, error) {
	<-t.ready
	n, err := t.in.Read(p)
	if err != nil {
		t.hangUp()
	}
	return n, err
}

// restore makes the terminal as it was.
func (t *rawTerminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.old != nil {
		_ = term.Restore(int(t.in.Fd()), t.old)
		t.old = nil
	}
}
