package report

import (
	"fmt"
	"strconv"

	"viplab/analysis/summary"
	"viplab/results"
)

// odd says, of the picture of a metric, which series cost more at their smallest size than
// at the next, beyond doubt, and which part of a sync (those of a change, or full) that
// comes from most.
func odd(s *summary.Summary, series []summary.Series, metric string, at map[string]string, change string) []string {
	var out []string
	for _, one := range series {
		cells := s.BySize(one, metric, at)
		if len(cells) < 2 || !cells[0].Interval || !cells[1].Interval || cells[0].Lo <= cells[1].Hi {
			continue
		}
		small, next := cells[0], cells[1]
		text := fmt.Sprintf("%s takes longer at %s (%s) than at %s (%s)", one.Label, summary.CountServices(small.Services()), small.Text(),
			summary.CountServices(next.Services()), next.Text())
		if phase, a, b := extra(s, one, change, small.Services(), next.Services()); phase != "" {
			text += fmt.Sprintf(": most of the difference is in the phase %s, %s there and %s here", phase, a, b)
		}
		out = append(out, text+". It is no cost of more Services, but one that the smaller trial alone pays.")
	}
	return out
}

// extra is the phase of a sync in which the smaller of two sizes loses most, with its time
// at both; empty if there is none.
func extra(s *summary.Summary, one summary.Series, change string, small, next int) (phase, a, b string) {
	most := 0.0
	for _, p := range s.LevelsOf(results.SyncPhase, results.Phase) {
		of := func(n int) *summary.Cell {
			return s.One(one, results.SyncPhase, map[string]string{results.Change: change, results.Phase: p, results.Services: strconv.Itoa(n)})
		}
		x, y := of(small), of(next)
		if x != nil && y != nil && x.Median-y.Median > most {
			most, phase, a, b = x.Median-y.Median, p, x.Text(), y.Text()
		}
	}
	return phase, a, b
}

// oddities explains pictures, by name.
func oddities(s *summary.Summary, series []summary.Series) map[string][]string {
	const add = "service-add"
	return map[string][]string{
		"sync-full":  odd(s, series, results.SyncFull, nil, "full"),
		"sync-delta": odd(s, series, results.SyncDelta, map[string]string{results.Change: add}, add),
	}
}
