package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"viplab/results"
)

// MixedError says that runs are of different testbeds or kernels, so that setting
// them side by side would compare those, not modes.
type MixedError struct{ What []string }

// Error implements error.
func (e *MixedError) Error() string {
	return "the runs were made under different conditions: " + strings.Join(e.What, "; ")
}

// Combine makes one run of several, with the run as a factor, so that each has a
// series of its own in the report. Runs of different testbeds or kernels are a
// [MixedError] unless anyway is set. One run is left as it is.
func Combine(runs []*results.Run, dir string, anyway bool) (*results.Run, error) {
	if len(runs) == 1 {
		return runs[0], nil
	}
	out := &results.Run{Dir: dir, Env: runs[0].Env, Config: runs[0].Config}
	names := map[string]bool{}
	var different []string
	for i, r := range runs {
		name := filepath.Base(filepath.Clean(r.Dir))
		if real, err := filepath.EvalSymlinks(r.Dir); err == nil {
			name = filepath.Base(real) // "latest" says nothing
		}
		if names[name] {
			name = fmt.Sprintf("%s (%d)", name, i+1)
		}
		names[name] = true
		for _, f := range [][3]string{{"testbed", runs[0].Env.Testbed, r.Env.Testbed}, {"kernel", runs[0].Env.Kernel, r.Env.Kernel}} {
			if f[1] != f[2] {
				different = append(different, fmt.Sprintf("%s %q in the first, %q in %s", f[0], f[1], f[2], name))
			}
		}
		for _, rec := range r.Records {
			if rec.Metric != results.Environment && rec.Metric != results.Done {
				rec.Factors = maps.Clone(rec.Factors)
				rec.Factors[results.RunName] = name
			}
			rec.Trial = name + "/" + rec.Trial
			out.Records = append(out.Records, rec)
		}
		for _, w := range r.Warnings {
			out.Warnings = append(out.Warnings, name+": "+w)
		}
	}
	if len(different) > 0 && !anyway {
		return nil, &MixedError{different}
	}
	return out, nil
}
