package report

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/montanaflynn/stats"

	"viplab/analysis/summary"
	"viplab/results"
)

// loopRounds are the medians of a loop of the machine's own speed in each round, over all
// trials of it, in seconds a step.
func loopRounds(s *summary.Summary, loop string) map[int]float64 {
	each := map[int][]float64{}
	for _, c := range s.Select(results.MachineStep, map[string]string{results.Loop: loop}) {
		for round, m := range c.Trials {
			each[round] = append(each[round], m)
		}
	}
	out := map[int]float64{}
	for round, values := range each {
		if m, err := stats.Median(values); err == nil {
			out[round] = m
		}
	}
	return out
}

// stray is by how much the round that is farthest from the median round is off, as a share
// of it; NaN for fewer than two rounds.
func stray(rounds map[int]float64) float64 {
	each := slices.Collect(maps.Values(rounds))
	mid, err := stats.Median(each)
	if err != nil || mid <= 0 || len(each) < 2 {
		return math.NaN()
	}
	return max(slices.Max(each)/mid-1, 1-slices.Min(each)/mid)
}

// strayLoop is the loop of the machine's own speed that strayed farthest, empty if nothing
// is known of any.
func strayLoop(s *summary.Summary) (loop string, by float64) {
	for _, l := range s.LevelsOf(results.MachineStep, results.Loop) {
		if v := stray(loopRounds(s, l)); v > by || loop == "" && !math.IsNaN(v) {
			loop, by = l, v
		}
	}
	return loop, by
}

// machine is a table of how fast the machine was, by loops that no mode touches.
func machine(s *summary.Summary) *table {
	t := &table{Title: "The machine's own speed", Head: words("a step of a fixed loop", "median", "strayed between rounds by")}
	for _, loop := range s.LevelsOf(results.MachineStep, results.Loop) {
		rounds := loopRounds(s, loop)
		mid, err := stats.Median(slices.Collect(maps.Values(rounds)))
		if err != nil {
			continue
		}
		unit := summary.UnitFor(results.MachineStep, mid)
		off := "-"
		if v := stray(rounds); !math.IsNaN(v) {
			off = fmt.Sprintf("%.1f %%", 100*v)
		}
		t.Rows = append(t.Rows, words(loop, summary.Number(mid/unit.Scale)+" "+unit.Name, off))
	}
	return t.orNil()
}

// steadier is by how much the spread must fall for a figure to be given relative to the
// machine's speed.
const steadier = 0.8

// relative is a table of the main figures at the largest size that are steadier as
// multiples of a loop of the machine's own speed in the same trial: those are what another
// run, or another machine, is best compared by.
func relative(s *summary.Summary, series []summary.Series, services int) *table {
	t := &table{Title: fmt.Sprintf("Relative to the machine's own speed, at %s", summary.CountServices(services)), Services: services,
		Head: words("steadier so than in seconds", "quantity", "steps", "of the loop", "half of all rounds within", "in seconds within")}
	for i, one := range series {
		for _, r := range rows() {
			m, _ := results.FindMetric(r.metric)
			c := s.One(one, r.metric, summary.With(r.with, results.Services, fmt.Sprint(services)))
			if m.Unit != results.Seconds || c == nil || len(c.Trials) < leastRelative {
				continue
			}
			if loop, ratios := steadiest(s, one, c); loop != "" {
				mid, err := stats.Median(ratios)
				if err != nil {
					continue
				}
				row := []entry{{Text: one.Label, Bar: -1, Series: i}}
				t.Rows = append(t.Rows, append(row, words(r.label, summary.Number(mid), loop,
					fmt.Sprintf("%.1f %%", 100*halfWithin(ratios)), fmt.Sprintf("%.1f %%", 100*halfWithin(slices.Collect(maps.Values(c.Trials)))))...))
			}
		}
	}
	return t.orNil()
}

// leastRelative is how many rounds it takes to tell which spread is the smaller one.
const leastRelative = 6

// steadiest is the loop over which a cell's rounds spread least, with their ratios, if that
// is clearly less than they spread by themselves.
func steadiest(s *summary.Summary, one summary.Series, c *summary.Cell) (loop string, ratios []float64) {
	best := steadier * halfWithin(slices.Collect(maps.Values(c.Trials)))
	for _, l := range s.LevelsOf(results.MachineStep, results.Loop) {
		speed := s.One(one, results.MachineStep, summary.With(nil, results.Loop, l, results.Services, c.Factors[results.Services]))
		if speed == nil {
			continue
		}
		var over []float64
		for _, round := range slices.Sorted(maps.Keys(c.Trials)) {
			if v := speed.Trials[round]; v > 0 {
				over = append(over, c.Trials[round]/v)
			}
		}
		if w := halfWithin(over); len(over) == len(c.Trials) && w < best {
			best, loop, ratios = w, l, over
		}
	}
	return loop, ratios
}

// halfWithin is within what share of the median half of the values are.
func halfWithin(values []float64) float64 {
	mid, err := stats.Median(values)
	off, err2 := stats.MedianAbsoluteDeviation(values)
	if err != nil || err2 != nil || mid <= 0 {
		return math.Inf(1)
	}
	return off / mid
}
