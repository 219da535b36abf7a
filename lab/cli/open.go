package cli

import (
	"fmt"
	"io"

	"viplab/results"
)

// openRun reads a run directory that was named by the user. What is damaged in it is said on
// stderr, and not used.
func openRun(dir string, stderr io.Writer) (*results.Run, error) {
	run, err := results.Open(dir)
	if err != nil {
		return nil, usageError{err}
	}
	for _, w := range run.Warnings {
		fmt.Fprintf(stderr, "warning: %s: %s\n", dir, w)
	}
	return run, nil
}
