package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// How long a command may take to end in order after a signal; two seconds are promised in
// all. One that measures reports what it has by then, or else leaves that to `viplab report`;
// one that only reads and prints has nothing to put in order.
const (
	graceToReport = 1500 * time.Millisecond
	graceToPrint  = 200 * time.Millisecond
)

// graceOf is that of a command.
func graceOf(cmd *cobra.Command) time.Duration {
	if slices.Contains([]string{"compare", "explain", "report", "simulate"}, cmd.Name()) {
		return graceToPrint
	}
	return graceToReport
}

// ending are the signals that end a command. SIGQUIT is one, by which Go's own answer, all
// stacks and an exit code that here means bad input, serves no user. That of a terminal which
// is gone is left ignored where it is, as nohup wants it.
func ending() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

// exitBySignal is the exit code after a signal, as shells have it; a terminal that is gone
// ends a command as SIGTERM does.
func exitBySignal(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok && n != syscall.SIGHUP {
		return 128 + int(n)
	}
	return 128 + int(syscall.SIGTERM)
}

// untilSignal runs a command until it ends, or until a signal came and either it ended in
// order, its grace is over, or a second signal came. A command that is still running then
// ends with the process: it may be in the middle of anything, such as waiting for the other
// end of a pipe. code is that of the signal, 0 if none came.
func untilSignal(do func(context.Context) error, grace func() time.Duration) (code int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, ending()...)
	defer signal.Stop(signals)
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	var over <-chan time.Time
	for {
		select {
		case err := <-done:
			if code != 0 && errors.Is(err, context.Canceled) {
				err = cmp.Or(interrupted(err), errInterrupted)
			}
			return code, err
		case s := <-signals:
			if code != 0 {
				return code, errInterrupted
			}
			code = exitBySignal(s)
			cancel()
			over = time.After(grace())
		case <-over:
			return code, errInterrupted
		}
	}
}

// errInterrupted is all that is to be said of a command that a signal ended.
var errInterrupted = errors.New("interrupted")

// interruptedError says what was reached before a signal ended a command.
type interruptedError struct{ text string }

func (e *interruptedError) Error() string { return e.text }

// Unwrap makes it one of those.
func (e *interruptedError) Unwrap() error { return context.Canceled }

// interrupted is the part of an error that says what was reached, nil if there is none.
func interrupted(err error) error {
	var e *interruptedError
	if errors.As(err, &e) {
		return e
	}
	return nil
}
