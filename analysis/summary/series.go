package summary

import (
	"maps"
	"slices"
	"strings"

	"viplab/results"
)

// Series is what a report sets side by side: a mode, or one of several variants
// of a mode (update strategy, backend) that a run has.
type Series struct {
	// Label is the mode's name, with what sets the variant apart.
	Label string
	Mode  string
	// Factors are those that all cells of the series share.
	Factors map[string]string
}

// variantFactors are the factors that make several series of one mode, with the
// value that needs no mention.
func variantFactors() [][2]string {
	return [][2]string{{results.Backend, "legacy"}, {results.Sync, "partial"}, {results.Bind, "address"}, {results.Scheduler, "rr"}, {results.Forward, "nat"}, {results.Lookup, "ipset"}, {results.Tracking, "on"}, {results.Weights, ""}, {results.Affinity, ""}, {results.Family, "ipv4"}, {results.Policies, "0"}, {results.Packets, "new"}, {results.RunName, ""}}
}

// order is how reports list the modes: the baseline, then from the oldest to the
// newest. Modes unknown here come first.
func order() []string { return []string{"direct", "userspace", "iptables", "iptables-tree", "ipvs"} }

// Series lists the series of a run, mode by mode in the order of reports.
func (s *Summary) Series() []Series {
	var out []Series
	seen := map[string]bool{}
	for _, c := range s.Cells {
		mode, ok := c.Factors[results.Mode]
		if !ok {
			continue
		}
		one := Series{Label: mode, Mode: mode, Factors: map[string]string{results.Mode: mode}}
		for _, f := range variantFactors() {
			v, ok := c.Factors[f[0]]
			if !ok {
				continue
			}
			one.Factors[f[0]] = v
			if v != f[1] {
				one.Label += " " + said(f[0], v)
			}
		}
		if !seen[one.Label] {
			seen[one.Label] = true
			out = append(out, one)
		}
	}
	slices.SortStableFunc(out, func(a, b Series) int {
		return slices.Index(order(), a.Mode) - slices.Index(order(), b.Mode)
	})
	return out
}

// said is the value of a factor in a label.
func said(factor, v string) string {
	switch factor {
	case results.Policies:
		return v + " policies"
	case results.Tracking:
		return "without conntrack"
	case results.Weights:
		return "weights " + v
	case results.Affinity:
		return "affinity " + v
	case results.Lookup:
		return "by " + v
	}
	return v
}

// With is the factors of the series and further ones, given as name, value
// pairs.
func (s Series) With(more map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(s.Factors)
	maps.Copy(out, more)
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// Names joins the labels of series.
func Names(list []Series) string {
	var out []string
	for _, s := range list {
		out = append(out, s.Label)
	}
	return strings.Join(out, ", ")
}
