package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"viplab/results"
)

// runDir is the directory of a run that was named by the user: a path that is there, or else
// a run by its own or a given name, as the command runs lists them.
func runDir(name string) (string, error) {
	places := []string{name}
	if filepath.IsLocal(name) {
		places = append(places, filepath.Join(runsDir, name))
	}
	for _, dir := range places {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return dir, nil // what cannot be read is meant too
		}
	}
	return "", usagef("there is no run %q: nothing is at %s (viplab runs lists those that there are)", name, strings.Join(places, " or "))
}

// openRun reads a run that was named by the user. What is damaged in it is said on stderr,
// and not used.
func openRun(name string, stderr io.Writer) (*results.Run, error) {
	dir, err := runDir(name)
	if err != nil {
		return nil, err
	}
	run, err := results.Open(dir)
	if err != nil {
		return nil, usageError{err}
	}
	for _, w := range run.Warnings {
		fmt.Fprintf(stderr, "warning: %s: %s\n", dir, w)
	}
	return run, nil
}
