package session

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"viplab/lab/roles"
	"viplab/lab/testbed"
	"viplab/lab/trial"
)

// Capabilities asks a testbed which variants of modes can run in it: the answers are in
// the order of the question, nil for those that can. The error is the testbed's own: a
// [modes.MissingError] if it cannot be used at all.
func Capabilities(ctx context.Context, tb testbed.Testbed, asked []trial.Variant) ([]*trial.Lack, error) {
	if err := tb.Probe(ctx); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	question, err := json.Marshal(asked)
	if err != nil {
		return nil, fmt.Errorf("ask testbed %s: %w", tb.Name(), err)
	}
	var out, errs bytes.Buffer
	code, err := tb.Run(ctx, testbed.Command{
		Args: []string{self, roles.Capabilities}, Stdin: question, Stdout: &out, Stderr: &errs, Env: testbed.CallerEnv(),
		RealRoot: slices.ContainsFunc(asked, func(v trial.Variant) bool { return v.RealRoot }),
	})
	if err != nil {
		return nil, fmt.Errorf("ask testbed %s: %w", tb.Name(), err)
	}
	if code != 0 {
		return nil, fmt.Errorf("ask testbed %s: %s", tb.Name(), strings.TrimSpace(errs.String()))
	}
	var lacks []*trial.Lack
	if err := json.Unmarshal(out.Bytes(), &lacks); err != nil || len(lacks) != len(asked) {
		return nil, fmt.Errorf("ask testbed %s: no answer in %q", tb.Name(), out.String())
	}
	return lacks, nil
}
