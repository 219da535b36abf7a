// Package cli is the command line of viplab: it reads flags, calls the packages
// that do the work, and turns errors into one sentence and an exit code.
package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
)

// Exit codes. A command that a signal ended has 128 and the signal's number, see
// exitBySignal.
const (
	ExitOK      = 0
	ExitVerdict = 1 // a threshold or a verdict failed
	ExitUsage   = 2
	ExitFailure = 3
	ExitSkipped = 4 // something that the machine needs is missing
)

// usageError is bad input: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// unlessMachine is bad input, unless it is a machine that has no room or fails.
func unlessMachine(err error) error {
	for _, fault := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EFBIG} {
		if errors.Is(err, fault) {
			return err
		}
	}
	return usageError{err}
}

// thresholdError is a comparison or verdict that failed: exit code 1.
type thresholdError struct{ err error }

func (e thresholdError) Error() string { return e.err.Error() }
func (e thresholdError) Unwrap() error { return e.err }

// commandError is the exit code of a command that viplab ran for somebody. There is
// nothing to say of it.
type commandError int

func (e commandError) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", int(e))
}

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// app is what all commands have: the modes that there are, and what was typed.
type app struct {
	modes   catalog.Catalog
	command []string
}

// Run is the whole command, with the modes of a catalog: data on stdout, everything else
// on stderr.
func Run(known catalog.Catalog, args []string, stdout, stderr io.Writer) int {
	root := app{known, append([]string{programName()}, args...)}.rootCommand()
	root.SetArgs(args)
	out := &watched{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	refuseShells(root)
	var grace atomic.Int64 // set once it is known which command it is
	grace.Store(int64(graceToReport))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		grace.Store(int64(graceOf(cmd)))
		return checkFlags(cmd)
	}
	code, err := untilSignal(root.ExecuteContext, func() time.Duration { return time.Duration(grace.Load()) })
	if err == nil && out.err != nil {
		err = fmt.Errorf("write what was asked for: %w", out.err)
	}
	var command commandError
	if err != nil && !errors.As(err, &command) {
		fmt.Fprintf(stderr, "viplab: %v\n", err)
	}
	switch {
	case code != 0:
		return code
	case err != nil:
		return exitCode(err)
	}
	return ExitOK
}

// watched is where a command's data goes. It remembers what could not be written, so that
// no command has to look after each line.
type watched struct {
	w   io.Writer
	err error
}

// stdout is where a command that is run for the user writes: the stream itself, which the
// command gets as its own.
func stdout(cmd *cobra.Command) io.Writer {
	if o, ok := cmd.OutOrStdout().(*watched); ok {
		return o.w
	}
	return cmd.OutOrStdout()
}

func (o *watched) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	o.err = cmp.Or(o.err, err)
	return n, err
}

// programName is how the program was called, so that commands which it prints work as
// printed.
func programName() string {
	if filepath.Base(os.Args[0]) == "viplab" {
		return os.Args[0]
	}
	return "viplab"
}

func exitCode(err error) int {
	var command commandError
	var usage usageError
	var threshold thresholdError
	var busy *results.BusyError
	var link *results.LinkError
	switch {
	case errors.As(err, &command):
		return int(command)
	case errors.As(err, &usage), errors.As(err, &busy), errors.As(err, &link):
		return ExitUsage
	case errors.As(err, &threshold):
		return ExitVerdict
	case modes.IsMissing(err):
		return ExitSkipped
	}
	return ExitFailure
}

func (a app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "viplab",
		Short: "A lab for Service load balancing in the kernel and beside it",
		Long: `viplab programs the same N Services (virtual IPs with endpoints) through several
data planes, drives packets and changes through them on a real kernel, and says
which one is faster, at which size, and by how much.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: valid are advise, bench, compare, exec, explain, reproduce, scenario, simulate, story, report, runs, shell, pack, doctor, kernel, modes, version, completion, help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.AddCommand(a.benchCommand(), compareCommand(), a.explainCommand(), a.reproduceCommand(), a.scenarioCommand(), a.simulateCommand(), a.storyCommand(), a.shellCommand(), a.execCommand(),
		a.reportCommand(), a.adviseCommand(), runsCommand(), packCommand(), a.doctorCommand(), kernelCommand(), a.modesCommand(), versionCommand())
	root.AddCommand(topics()...)
	root.SetHelpCommand(helpCommand())
	a.complete(root)
	return root
}

// noArgs refuses arguments with a sentence.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q", cmd.Name(), args[0])
	}
	return nil
}
