package summary

import (
	"maps"
	"slices"
	"strings"

	"viplab/results"
)

// Series is what a report sets side by side: one of the variants of a run.
type Series struct {
	// Label is the mode's name, with what sets the variant apart.
	Label   string
	Mode    string
	Variant results.Variant
	// Baseline is whether the mode is the one that the others are measured against.
	Baseline bool
	// Place is the mode's among the modes that are no baseline, from 0, and Sibling the
	// variant's among those of its mode: what it looks like in plots follows from them.
	Place, Sibling int
}

// Asked lists the variants that the run was asked to measure, in the order of its
// configuration; none of a Summary of records alone. See [results.Run.Variants].
func (s *Summary) Asked() []results.Variant { return s.order }

// Series lists the variants of a run: those of the baseline first, then in the order of
// the run's configuration, or else of their first occurrence.
func (s *Summary) Series() []Series {
	var variants []results.Variant
	seen := map[string]bool{}
	for _, c := range s.Cells {
		if key := c.Variant.Key(); c.Variant.Mode() != "" && !seen[key] {
			seen[key] = true
			variants = append(variants, c.Variant)
		}
	}
	slices.SortStableFunc(variants, func(a, b results.Variant) int { return slices.Compare(s.rank(a), s.rank(b)) })
	out := make([]Series, len(variants))
	places, siblings := map[string]int{s.baseline: -1}, map[string]int{}
	for i, v := range variants {
		mode := v.Mode()
		if _, ok := places[mode]; !ok {
			places[mode] = len(places) - 1
		}
		out[i] = Series{
			Label: v.Label(variants), Mode: mode, Variant: v, Baseline: mode == s.baseline,
			Place: max(0, places[mode]), Sibling: siblings[mode],
		}
		siblings[mode]++
	}
	return out
}

// rank orders variants: by whether the mode is the baseline, by their place in the
// configuration, and of several that it does not tell apart, with fewer arguments first.
func (s *Summary) rank(v results.Variant) []int {
	other := 1
	if v.Mode() == s.baseline {
		other = 0
	}
	// The configured variant that says most about this one is its own.
	place, most := len(s.order), 0
	for i, asked := range s.order {
		if len(asked) > most && v.Has(asked) {
			place, most = i, len(asked)
		}
	}
	if place == len(s.order) {
		return []int{other, place}
	}
	return []int{other, place, len(v)}
}

// BaselineOf is the series of the baseline that was measured under the same
// conditions as another: the one that shares most with it, and has nothing that the
// other has not. ok is false if there is none.
func (s *Summary) BaselineOf(one Series) (base Series, ok bool) {
	for _, b := range s.Series() {
		conditions := maps.Clone(b.Variant)
		delete(conditions, results.Mode)
		if b.Baseline && one.Variant.Has(conditions) && (!ok || len(b.Variant) > len(base.Variant)) {
			base, ok = b, true
		}
	}
	return base, ok
}

// With is factors and further ones, given as name, value pairs.
func With(at map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(at)
	if out == nil {
		out = map[string]string{}
	}
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
