package report

import (
	_ "embed"
	"slices"
	"strings"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

//go:embed method.txt
var methodText string

// method says how the figures came about, a paragraph each.
func method() []string {
	var out []string
	for paragraph := range strings.SplitSeq(methodText, "\n\n") {
		out = append(out, strings.Join(strings.Fields(paragraph), " "))
	}
	return out
}

// limits lists what the run's figures do not say: as the lab wrote it down, or, of a run
// that did not, what is known of its modes.
func limits(run *results.Run, known []modes.Mode, s *summary.Summary) []string {
	out := run.Limits()
	if len(out) == 0 {
		out = append(out, "The run did not write down what its testbed distorts: compare modes within this report, not with "+
			"numbers from elsewhere.")
		for _, one := range s.Series() {
			i := slices.IndexFunc(known, func(m modes.Mode) bool { return m.Name == one.Mode })
			if i < 0 {
				continue
			}
			for _, c := range known[i].CaveatsOf(modes.Args(one.Variant)) {
				if !slices.Contains(out, c) {
					out = append(out, c)
				}
			}
		}
	}
	return append(out, "Client, node and backend share the CPUs of one machine: throughput and connection rates are "+
		"those of the whole path, not of the node alone.")
}
