package cli

import (
	"context"
	"fmt"
	"slices"

	"viplab/lab/bench"
	"viplab/lab/testbed"
)

// What to do about a mode that the testbed's kernel lacks.
const (
	onMissingFail     = "fail"
	onMissingSkip     = "skip"
	onMissingFallback = "fallback"
)

func (f *benchFlags) checkOnMissing() error {
	valid := []string{onMissingFail, onMissingSkip, onMissingFallback}
	if f.onMissing != "" && !slices.Contains(valid, f.onMissing) {
		return usagef("unknown on-missing %q: valid are %v", f.onMissing, valid)
	}
	if f.onMissing != onMissingFail && f.onMissing != "" && f.Testbed == testbed.Auto {
		return usagef("on-missing %s needs a testbed by name: auto takes one that has everything", f.onMissing)
	}
	return nil
}

// substitute takes modes out that the testbed lacks, or puts iptables in the place
// of ipvs, as kube-proxy did before 1.26, and notes what it did.
func (f *benchFlags) substitute(ctx context.Context) error {
	if f.onMissing == onMissingFail || f.onMissing == "" {
		return nil
	}
	tb, err := testbed.Find(f.Testbed)
	if err != nil {
		return usageError{err}
	}
	lacks, err := bench.Capabilities(ctx, tb, f.Modes, f.Needs()[0])
	if err != nil {
		return err
	}
	for _, name := range slices.Clone(f.Modes) {
		l, missing := lacks[name]
		if !missing {
			continue
		}
		i := slices.Index(f.Modes, name)
		f.Modes = slices.Delete(slices.Clone(f.Modes), i, i+1)
		note := fmt.Sprintf("mode %s was left out: %v", name, l.Err())
		if f.onMissing == onMissingFallback && name == "ipvs" {
			note = fmt.Sprintf("mode iptables took the place of ipvs: %v", l.Err())
			if !slices.Contains(f.Modes, "iptables") {
				f.Modes = slices.Insert(f.Modes, i, "iptables")
			}
		}
		f.Notes = append(f.Notes, note)
	}
	if len(f.Modes) == 0 {
		return fmt.Errorf("no mode is left: %v", f.Notes)
	}
	return nil
}
