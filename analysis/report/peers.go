package report

import (
	"fmt"
	"slices"
	"strconv"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// against is a table of the modes whose peer is in the run too: what ours takes, divided by
// what the real one takes. It is nil where there is no such pair.
func against(known []modes.Mode, s *summary.Summary, series []summary.Series) *table {
	quantities := againstRows()
	t := &table{Title: "Ours against kube-proxy", Head: words("ours divided by the real one's, of medians")}
	for _, q := range quantities {
		t.Head = append(t.Head, words(q.label)...)
	}
	for _, n := range s.Sizes() {
		for _, theirs := range series {
			for _, ours := range series {
				if !peers(known, ours.Mode, theirs.Mode) {
					continue
				}
				row := []string{fmt.Sprintf("%s / %s, %s", ours.Label, theirs.Label, summary.CountServices(n))}
				for _, q := range quantities {
					at := summary.With(q.with, results.Services, strconv.Itoa(n))
					row = append(row, quotient(s.One(ours, q.metric, at), s.One(theirs, q.metric, at)))
				}
				if slices.ContainsFunc(row[1:], func(c string) bool { return c != "-" }) {
					t.Rows = append(t.Rows, words(row...))
				}
			}
		}
	}
	return t.orNil()
}

// againstRows lists the quantities: costs, of which less is better.
func againstRows() []row {
	change := func(c string) map[string]string { return summary.With(nil, results.Change, c) }
	return []row{
		{"full sync", results.SyncFull, nil},
		{"add a Service", results.SyncDelta, change(modes.ServiceAdd)},
		{"delete a Service", results.SyncDelta, change(modes.ServiceDelete)},
		{"add an endpoint", results.SyncDelta, change(modes.EndpointAdd)},
		{"delete an endpoint", results.SyncDelta, change(modes.EndpointDelete)},
		{"CPU of a full sync", results.CPUSeconds, map[string]string{results.Of: "sync", results.Change: "full"}},
		{"peak memory of the tool", results.ToolPeakRSS, change("full")},
		{"kernel memory", results.KernelMemory, nil},
	}
}

// peers tells whether a mode is the peer of another.
func peers(known []modes.Mode, ours, theirs string) bool {
	return slices.ContainsFunc(known, func(m modes.Mode) bool { return m.Name == theirs && m.PeerOf == ours })
}

// quotient is a ratio of medians, as text. Of what was cut off it is a bound; where ours is
// too small for the kernel's clock to count, nothing can be said.
func quotient(ours, theirs *summary.Cell) string {
	switch {
	case ours == nil || theirs == nil || ours.Median <= 0 || theirs.Median <= 0 || ours.Over && theirs.Over:
		return "-"
	case theirs.Over:
		return "< " + summary.Number(ours.Median/theirs.Median)
	case ours.Over:
		return "> " + summary.Number(ours.Median/theirs.Median)
	}
	return summary.Number(ours.Median / theirs.Median)
}
