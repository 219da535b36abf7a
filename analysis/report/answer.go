package report

import (
	"fmt"
	"slices"
	"strings"

	"viplab/analysis/advice"
	"viplab/analysis/summary"
	"viplab/modes"
)

// sentence is one of the answer's.
type sentence struct {
	// About says what it answers, Lead is the answer, and Rest what else there is.
	About, Lead, Rest string
}

// String is all of it.
func (s sentence) String() string { return s.About + s.Lead + s.Rest }

// answer says in a few sentences what the data support at the largest size. A difference
// is stated only where intervals part two series.
func answer(s *summary.Summary, series []summary.Series, n int) []sentence {
	var out []sentence
	for _, q := range advice.Questions() {
		st := advice.Ask(q, s, series, n, nil)
		if st.Empty() {
			continue
		}
		one := sentence{About: fmt.Sprintf("At %s, %s: ", summary.CountServices(n), q.About)}
		one.Lead, one.Rest = st.Sentence()
		one.Rest += "."
		if from := since(q, s, series, st); from != "" && len(st.Beyond()) == 0 {
			one.Rest += " " + from
		}
		out = append(out, one)
	}
	return out
}

// since says from which measured size on series are behind, where that is not the
// smallest.
func since(q advice.Question, s *summary.Summary, series []summary.Series, st advice.Standing) string {
	sizes := s.Sizes()
	var out []string
	for i, n := range sizes[1:] {
		var names []string
		for _, e := range st.Behind {
			if advice.From(q, s, series, e.Label) == n {
				names = append(names, e.Label)
			}
		}
		if len(names) > 0 {
			out = append(out, fmt.Sprintf("From %s on, and not at %d: %s.", summary.CountServices(n), sizes[i], strings.Join(names, ", ")))
		}
	}
	return strings.Join(out, " ")
}

// givenUp is a table of the abilities that not all modes of a report have.
func givenUp(known []modes.Mode, series []summary.Series) *table {
	var names []string
	for _, one := range series {
		if !one.Baseline && !slices.Contains(names, one.Mode) {
			names = append(names, one.Mode)
		}
	}
	rows := advice.Abilities(known, names)
	if len(rows) < 2 {
		return nil
	}
	return plain("What each choice gives up", rows)
}
