package compare

import (
	"math"

	"github.com/montanaflynn/stats"

	"viplab/results"
)

// machine is by what share each loop of the machine's own speed takes longer in B than in
// A, by the medians of all trials; nil where one of them has none.
func machine(a, b *results.Run) map[string]float64 {
	before, after := loops(a), loops(b)
	var out map[string]float64
	for loop, values := range before {
		x, err := stats.Median(values)
		y, err2 := stats.Median(after[loop])
		if err != nil || err2 != nil || x <= 0 {
			continue
		}
		if out == nil {
			out = map[string]float64{}
		}
		out[loop] = y/x - 1
	}
	return out
}

func loops(run *results.Run) map[string][]float64 {
	out := map[string][]float64{}
	for _, r := range run.Records {
		if r.Metric == results.MachineStep {
			out[r.Factors[results.Loop]] = append(out[r.Factors[results.Loop]], r.Values...)
		}
	}
	return out
}

// explained tells whether a change may be no larger than that of the machine's own speed: a
// time or a rate whose change, by the end of its interval that is nearest to none, is no more
// than that of the loop that changed most, in the same direction. What is no time, such as
// memory, does not follow the machine's speed.
func explained(r Row, machine map[string]float64) bool {
	if r.FromNothing {
		return false
	}
	least := r.Change
	switch {
	case r.Interval && r.Change > 0:
		least = max(0, float64(r.Lo))
	case r.Interval:
		least = min(0, float64(r.Hi))
	}
	m, _ := results.FindMetric(r.Metric)
	slower, longer := r.Change > 0, 1+least // as a ratio of times
	switch m.Unit {
	case results.Seconds, results.SecondsPerConnection, results.SecondsPerGigabit:
	case results.ConnectionsPerSecond, results.AnswersPerSecond, results.BitsPerSecond:
		if longer <= 0 {
			return false
		}
		slower, longer = r.Change < 0, 1/longer
	default:
		return false
	}
	for _, by := range machine {
		if slower && by > 0 && longer <= 1+by || !slower && by < 0 && longer >= 1+by {
			return true
		}
	}
	return false
}

// similar is by how many times as much as the baseline a mode may have changed to have changed
// as the machine did.
const similar = 1.5

// explainByBaseline marks the rows whose cell changed in the baseline too: significantly, in
// the same direction and by about as much. No Service has a part in that. It happens where
// the machine has two levels, as with the processor on which a client wakes, and stays on
// another one for most of a run.
func (c *Comparison) explainByBaseline(mode string) {
	// To the baseline all positions are one: it has no Service that could be the last.
	place := func(r Row) string {
		return results.Record{Metric: r.Metric, Factors: without(r.Factors, results.Position)}.Cell()
	}
	bases := map[string][]Row{}
	for _, r := range c.Rows {
		if r.Variant.Mode() == mode && r.Significant && !r.FromNothing {
			bases[place(r)] = append(bases[place(r)], r)
		}
	}
	for i, r := range c.Rows {
		for _, base := range bases[place(r)] {
			alike := (r.Change > 0) == (base.Change > 0) && math.Abs(grown(r)) <= similar*math.Abs(grown(base))
			if r.Variant.Has(without(base.Variant, results.Mode)) && !r.FromNothing && alike {
				c.Rows[i].Explained = true
			}
		}
	}
}

// grown is by how much a quantity grew from A, in its unit; of a rate, the time that one takes.
func grown(r Row) float64 {
	if m, _ := results.FindMetric(r.Metric); m.Better == results.More {
		return (1/(1+r.Change) - 1) / r.A
	}
	return r.A * r.Change
}
