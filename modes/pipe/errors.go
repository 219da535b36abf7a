package pipe

import (
	"errors"
	"fmt"
)

// What a program can do wrong. A [HelperError] wraps one of them.
var (
	// ErrDied: the program ended, or closed its output.
	ErrDied = errors.New("it ended")
	// ErrSilent: the program did not answer, or took no more input, until the deadline.
	ErrSilent = errors.New("it was silent until the deadline")
	// ErrNonsense: the program said what is no answer to what it was asked.
	ErrNonsense = errors.New("it spoke nonsense")
	// ErrRefused: the program said that it failed.
	ErrRefused = errors.New("it reported an error")
)

// HelperError says what went wrong between the lab and the program of a mode.
type HelperError struct {
	// Mode is the mode's name, and Program the program's path.
	Mode, Program string
	// Doing is what it was asked to do.
	Doing string
	// Err wraps one of the errors above.
	Err error
	// Said is the end of what it wrote to standard error.
	Said string
}

// Error names the mode, what it was asked, what went wrong, and what the program said.
func (e *HelperError) Error() string {
	s := fmt.Sprintf("mode %s: %s by %s: %v", e.Mode, e.Doing, e.Program, e.Err)
	if e.Said != "" {
		s += ": " + e.Said
	}
	return s
}

// Unwrap gives what went wrong.
func (e *HelperError) Unwrap() error { return e.Err }
