package reproduce

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"viplab/analysis/summary"
	"viplab/analysis/verdict"
	"viplab/results"
)

// Runs are the summaries of the experiments that were run, by name.
type Runs map[string]*summary.Summary

// Beside sets a published series beside a measured one.
type Beside struct {
	Series     string // published
	What       string // was measured, exactly
	Experiment string
	Mode       string // for the looks in plots
	Ours       func(*summary.Summary) []verdict.Sample
	// Theirs turns a published value into the unit of ours, nil if it is that.
	Theirs func(float64) float64
	// Point is the x of the only published point that is meant, empty for all.
	Point           string
	Cannot, NoLevel string
	// None is what it means if nothing at all was measured.
	None string
}

// Target is a published table or plot.
type Target struct {
	ID    string
	YUnit string // of the comparison
	XName string
	LogY  bool
	// CannotRun says why no experiment can be run here.
	CannotRun string
	Beside    []Beside
}

// Experiments names what the target needs.
func (t Target) Experiments() []string {
	var out []string
	for _, b := range t.Beside {
		if b.Experiment != "" && !slices.Contains(out, b.Experiment) {
			out = append(out, b.Experiment)
		}
	}
	return out
}

// Find lists the targets of the given names; "all" is all of them.
func Find(names []string) ([]Target, error) {
	all := Targets()
	if len(names) == 0 || slices.Contains(names, "all") {
		return all, nil
	}
	var out []Target
	for _, n := range names {
		i := slices.IndexFunc(all, func(t Target) bool { return strings.EqualFold(t.ID, n) })
		if i < 0 {
			return nil, fmt.Errorf("unknown target %q: valid are all, %s to %s (see reproduce --list)", n, all[0].ID, all[len(all)-1].ID)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// pick says which samples of a run a series is: a metric with factors and keys of its
// variant, x by one of them, a percentile (0: the median), a scale.
type pick struct {
	metric  string
	with    map[string]string
	x       string
	absent  string // x of a cell that has no such factor: its default
	percent float64
	scale   float64
	each    func(float64) float64 // after scaling, nil for none
}

func (p pick) samples(s *summary.Summary) []verdict.Sample {
	var out []verdict.Sample
	for _, c := range s.Select(p.metric, p.with) {
		x, ok := number(cmp.Or(c.Get(p.x), p.absent))
		if !ok {
			continue
		}
		turn := func(v float64) float64 {
			if v *= p.scale; p.each != nil {
				v = p.each(v)
			}
			return v
		}
		one := verdict.Sample{X: x, Y: turn(c.Median), Over: c.Over}
		one.Lo, one.Hi = one.Y, one.Y
		if p.percent > 0 {
			q := c.Percentile(p.percent)
			if q == nil {
				continue
			}
			one.Y = turn(q.Value)
			one.Lo, one.Hi = one.Y, one.Y
			if q.Interval {
				one.Lo, one.Hi = turn(q.Lo), turn(q.Hi)
			}
		} else {
			if c.Interval {
				one.Lo, one.Hi = turn(c.Lo), turn(c.Hi)
			}
			for _, m := range c.Trials {
				one.Rounds = append(one.Rounds, turn(m))
			}
		}
		one.Lo, one.Hi = min(one.Lo, one.Hi), max(one.Lo, one.Hi)
		out = append(out, one)
	}
	sortSamples(out)
	return out
}

// number reads a factor that is one.
func number(s string) (v float64, ok bool) {
	v, err := results.Number(s)
	return v, err == nil
}

func sortSamples(list []verdict.Sample) {
	slices.SortFunc(list, func(a, b verdict.Sample) int { return int(a.X - b.X) })
}

// less is a series minus that of the baseline in the same round, times scale.
func less(metric, mode string, scale float64) func(*summary.Summary) []verdict.Sample {
	return combine(metric, mode, func(v, base float64) float64 { return (v - base) * scale }, nil)
}

// share is a series over that of the baseline in the same round.
func share(metric, mode string, with map[string]string, scale float64) func(*summary.Summary) []verdict.Sample {
	return combine(metric, mode, func(v, base float64) float64 { return scale * v / base }, with)
}

func combine(metric, mode string, f func(v, base float64) float64, with map[string]string) func(*summary.Summary) []verdict.Sample {
	return func(s *summary.Summary) []verdict.Sample {
		var out []verdict.Sample
		for _, c := range s.Select(metric, summary.With(with, results.Mode, mode)) {
			baseline, ok := s.BaselineOf(summary.Series{Variant: c.Variant})
			if !ok {
				continue
			}
			base := s.One(baseline, metric, summary.With(with, results.Services, c.Factors[results.Services]))
			if base == nil {
				continue
			}
			one := verdict.Sample{X: float64(c.Services()), Y: f(c.Median, base.Median)}
			one.Lo, one.Hi = one.Y, one.Y
			for round, m := range c.Trials {
				if b, ok := base.Trials[round]; ok {
					one.Rounds = append(one.Rounds, f(m, b))
				}
			}
			out = append(out, one)
		}
		sortSamples(out)
		return out
	}
}

// ratio is a metric of some cells over that of others of the same size and round.
func ratio(metric string, of, over map[string]string, scale float64) func(*summary.Summary) []verdict.Sample {
	return func(s *summary.Summary) []verdict.Sample {
		var out []verdict.Sample
		for _, c := range s.Select(metric, of) {
			other := s.Only(metric, summary.With(over, results.Services, c.Factors[results.Services]))
			if other == nil || c.Over || other.Over || other.Median == 0 {
				continue
			}
			one := verdict.Sample{X: float64(c.Services()), Y: scale * c.Median / other.Median}
			one.Lo, one.Hi = one.Y, one.Y
			for round, m := range c.Trials {
				if o := other.Trials[round]; o > 0 {
					one.Rounds = append(one.Rounds, scale*m/o)
				}
			}
			out = append(out, one)
		}
		sortSamples(out)
		return out
	}
}

// crossing is where a ratio that falls passes one, by straight lines between logarithms of
// it: over the largest size if it has not by then, zero if it was below from the first.
func crossing(f func(*summary.Summary) []verdict.Sample) func(*summary.Summary) []verdict.Sample {
	return func(s *summary.Summary) []verdict.Sample {
		list := f(s)
		if len(list) == 0 {
			return nil
		}
		if list[0].Y <= 1 {
			return []verdict.Sample{{}}
		}
		for i, b := range list[1:] {
			if a := list[i]; b.Y <= 1 {
				at := a.X + (b.X-a.X)*math.Log(a.Y)/math.Log(a.Y/b.Y)
				return []verdict.Sample{{Y: at, Lo: a.X, Hi: b.X}}
			}
		}
		last := list[len(list)-1].X
		return []verdict.Sample{{Y: last, Lo: last, Hi: last, Over: true}}
	}
}

// installed adds single appends up to the time that so many calls take, one after
// another: the time of one more rule, measured on top of several numbers of rules,
// summed from the first rule to the last by the trapezoidal rule.
func installed(perX float64) func(*summary.Summary) []verdict.Sample {
	return func(s *summary.Summary) []verdict.Sample {
		points := pick{metric: results.PlainAppend, x: results.Rules, scale: 1}.samples(s)
		var out []verdict.Sample
		sum, lastX, lastY := 0.0, 0.0, 0.0
		for i, p := range points {
			if i == 0 {
				lastY = p.Y
			}
			sum += (p.X - lastX) * (p.Y + lastY) / 2
			lastX, lastY = p.X, p.Y
			out = append(out, verdict.Sample{X: p.X / perX, Y: sum, Lo: sum, Hi: sum})
		}
		return out
	}
}
