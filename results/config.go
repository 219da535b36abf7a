package results

import "fmt"

// DefaultBaseline is the mode that others are measured against in a run whose
// configuration names none.
const DefaultBaseline = "direct"

// Keys of a run's configuration that readers of records use.
const (
	ConfigVariants = "variants" // a list of maps, in the order of reports
	ConfigModes    = "modes"    // a list of names, likewise; of runs without variants
	ConfigBaseline = "baseline" // the name of a mode
	ConfigCommand  = "command"  // the command line that made the run, a list of words
	ConfigLimits   = "limits"   // a list of sentences: what the run's figures do not say
)

// Variants lists what the run was asked to measure, in order. A variant may lack keys
// that only became known while it ran (the testbed). It is empty if the configuration
// does not say.
func (r *Run) Variants() []Variant {
	var out []Variant
	list, _ := r.Config[ConfigVariants].([]any)
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			v := Variant{}
			for k, value := range m {
				v[k] = fmt.Sprint(value)
			}
			out = append(out, r.lifted(v))
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, mode := range r.words(ConfigModes) {
		out = append(out, r.lifted(Variant{Mode: mode}))
	}
	return out
}

// Baseline is the name of the mode that the others are measured against.
func (r *Run) Baseline() string {
	if name, ok := r.Config[ConfigBaseline].(string); ok && name != "" {
		return name
	}
	return DefaultBaseline
}

// Command is the command line that made the run, empty if it was not recorded.
func (r *Run) Command() []string { return r.words(ConfigCommand) }

// Limits lists sentences on what the run's figures do not say, as the lab that made it
// wrote them; empty if it wrote none.
func (r *Run) Limits() []string { return r.words(ConfigLimits) }

// words is a list of the configuration.
func (r *Run) words(key string) (out []string) {
	list, _ := r.Config[key].([]any)
	for _, item := range list {
		out = append(out, fmt.Sprint(item))
	}
	return out
}
