package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/montanaflynn/stats"

	"viplab/analysis/summary"
	"viplab/results"
)

// spent is a table of where the run's time went: seconds of all its trials, by step and
// series.
func spent(s *summary.Summary, series []summary.Series) *table {
	whole := map[string]float64{} // by step
	each := map[string]map[int]float64{}
	for i, one := range series {
		for _, c := range s.In(one, results.TrialSeconds, nil) {
			step := c.Factors[results.Step]
			total, err := stats.Sum(c.Values)
			if err != nil || step == "" {
				continue
			}
			if each[step] == nil {
				each[step] = map[int]float64{}
			}
			each[step][i] += total
			whole[step] += total
		}
	}
	t := &table{Title: "Where the time of the run went", Head: append(heads("seconds, all trials", series), word("together"))}
	steps := slices.SortedFunc(maps.Keys(whole), func(a, b string) int { return cmp.Compare(whole[b], whole[a]) })
	for _, step := range steps {
		row := words(step)
		for i := range series {
			row = append(row, entry{Text: fmt.Sprintf("%.1f", each[step][i]), Bar: -1, Series: i})
		}
		t.Rows = append(t.Rows, append(row, word(fmt.Sprintf("%.0f", whole[step]))))
	}
	return t.orNil()
}
