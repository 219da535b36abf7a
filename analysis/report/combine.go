package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
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

// Combine makes one run of several, with the run as a key of variants, so that each has
// series of its own in the report. Runs of different testbeds or kernels are a
// [MixedError] unless anyway is set. One run is left as it is.
func Combine(runs []*results.Run, dir string, anyway bool) (*results.Run, error) {
	if len(runs) == 1 {
		return runs[0], nil
	}
	out := &results.Run{Dir: dir, Env: runs[0].Env, Config: combineConfigs(runs, dir, anyway)}
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
		out.Parts = append(out.Parts, results.Part{Name: name, Run: r})
		for _, f := range [][3]string{{"testbed", runs[0].Env.Testbed, r.Env.Testbed}, {"kernel", runs[0].Env.Kernel, r.Env.Kernel}} {
			if f[1] != f[2] {
				different = append(different, fmt.Sprintf("%s %q in the first, %q in %s", f[0], f[1], f[2], name))
			}
		}
		for _, rec := range r.Records {
			if rec.Variant.Mode() != "" {
				rec.Variant = maps.Clone(rec.Variant)
				rec.Variant[results.RunName] = name
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

// combineConfigs is the configuration of the first run with what all runs have been asked
// to measure, the limits of all, and the command that makes the report.
func combineConfigs(runs []*results.Run, dir string, anyway bool) map[string]any {
	out := maps.Clone(runs[0].Config)
	if out == nil {
		out = map[string]any{}
	}
	program := "viplab"
	if words := runs[0].Command(); len(words) > 0 {
		program = words[0]
	}
	command := []any{program, "report", "--out", dir}
	if anyway {
		command = append(command, "--force")
	}
	var variants, limits []any
	for _, r := range runs {
		command = append(command, r.Dir)
		for _, v := range r.Variants() {
			m := map[string]any{}
			for k, value := range v {
				m[k] = value
			}
			variants = append(variants, m)
		}
		for _, l := range r.Limits() {
			if !slices.Contains(limits, any(l)) {
				limits = append(limits, l)
			}
		}
	}
	out[results.ConfigCommand], out[results.ConfigVariants], out[results.ConfigLimits] = command, variants, limits
	return out
}
