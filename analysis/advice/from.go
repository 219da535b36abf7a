package advice

import "viplab/analysis/summary"

// From is the smallest measured number of Services from which on the entry of a label is
// behind the best at every larger one too, 0 if it is at none.
func From(q Question, s *summary.Summary, series []summary.Series, label string) int {
	from := 0
	for _, n := range s.Sizes() {
		st := Ask(q, s, series, n, nil)
		behind := false
		for _, e := range st.Behind {
			behind = behind || e.Label == label
		}
		switch {
		case !behind && len(st.Leaders) > 0:
			from = 0
		case behind && from == 0:
			from = n
		}
	}
	return from
}
