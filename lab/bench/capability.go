package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"viplab/lab/roles"
	"viplab/lab/testbed"
	"viplab/lab/trial"
)

// Capabilities asks a testbed which of the modes can run in it with what else is
// needed. The error is the testbed's own: a [modes.MissingError] if it cannot be used
// at all.
func Capabilities(ctx context.Context, tb testbed.Testbed, modes []string, need trial.Need) (map[string]trial.Lack, error) {
	if err := tb.Probe(ctx); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	asked, err := json.Marshal(need)
	if err != nil {
		return nil, fmt.Errorf("ask testbed %s: %w", tb.Name(), err)
	}
	var out, errs bytes.Buffer
	code, err := tb.Run(ctx, testbed.Command{Args: append([]string{self, roles.Capabilities, string(asked)}, modes...), Stdout: &out, Stderr: &errs})
	if err != nil {
		return nil, fmt.Errorf("ask testbed %s: %w", tb.Name(), err)
	}
	if code != 0 {
		return nil, fmt.Errorf("ask testbed %s: %s", tb.Name(), strings.TrimSpace(errs.String()))
	}
	var lacks map[string]trial.Lack
	if err := json.Unmarshal(out.Bytes(), &lacks); err != nil {
		return nil, fmt.Errorf("ask testbed %s: %w in %q", tb.Name(), err, out.String())
	}
	return lacks, nil
}

// Choose picks the testbed: the named one, or with auto the first that can run
// all the modes. why says how it was picked.
func Choose(ctx context.Context, name string, modes []string, needs []trial.Need) (tb testbed.Testbed, why string, err error) {
	if name != testbed.Auto {
		if tb, err = testbed.Find(name); err != nil {
			return nil, "", err
		}
		return tb, name + " was asked for", canAll(ctx, tb, modes, needs)
	}
	var passed []string
	var errs []error
	for _, tb := range testbed.All() {
		err := canAll(ctx, tb, modes, needs)
		if err == nil {
			return tb, strings.Join(append(passed, tb.Name()+" can run all modes asked for"), "; "), nil
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		errs = append(errs, fmt.Errorf("%s: %w", tb.Name(), err))
		passed = append(passed, fmt.Sprintf("not %s: %v", tb.Name(), firstLine(err.Error())))
	}
	return nil, "", errors.Join(errs...)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func canAll(ctx context.Context, tb testbed.Testbed, modes []string, needs []trial.Need) error {
	for _, n := range needs {
		lacks, err := Capabilities(ctx, tb, modes, n)
		if err != nil {
			return err
		}
		for _, m := range modes {
			if l, ok := lacks[m]; ok {
				return fmt.Errorf("mode %s: %w", m, l.Err())
			}
		}
	}
	return nil
}
