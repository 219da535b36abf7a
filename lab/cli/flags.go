package cli

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viplab/lab/session"
	"viplab/lab/testbed"
)

// flagError is what is wrong with a command line, said as the rest of the lab says it
// rather than by the parser of numbers.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return usageError{err}
	}
	kinds := map[string]string{
		"int": "a whole number", "intSlice": "whole numbers separated by commas", "stringSlice": "words separated by commas", "uint64": "a whole number of 0 or more",
		"float64": "a number", "duration": "a duration such as 300ms or 2m", "bool": "true or false",
	}
	f := invalid.GetFlag()
	if kind, plain := kinds[f.Value.Type()]; plain {
		return usagef("--%s must be %s, got %q", f.Name, kind, invalid.GetValue())
	}
	if cause := invalid.Unwrap(); !strings.HasPrefix(cause.Error(), f.Name) {
		return usagef("--%s: %w", f.Name, cause)
	}
	return usageError{invalid.Unwrap()}
}

// checkFlags refuses what is wrong in every command that has such a flag, before anything
// begins: an empty list, an unknown testbed or way to show progress.
func checkFlags(cmd *cobra.Command) error {
	for _, name := range []string{"modes", "kernel", "services"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			if list, ok := f.Value.(pflag.SliceValue); ok && len(list.GetSlice()) == 0 {
				return usagef("--%s names none", name)
			}
		}
	}
	if v, given := typed(cmd, "testbed"); given && v != testbed.Auto {
		if _, err := testbed.Find(v); err != nil {
			return usageError{err}
		}
	}
	if v, given := typed(cmd, "progress"); given {
		if _, err := session.NewProgress(v, io.Discard, false); err != nil {
			return usageError{err}
		}
	}
	return nil
}

// typed is the value of a flag that was given.
func typed(cmd *cobra.Command, name string) (value string, given bool) {
	f := cmd.Flags().Lookup(name)
	if f == nil || !f.Changed {
		return "", false
	}
	return f.Value.String(), true
}
