// Package summary turns records into cells: all samples of one quantity under
// one set of factors, with the median and its interval.
//
// Timings of shared machines are skewed and have outliers, so nothing is assumed
// about their distribution: the interval of the median comes from order
// statistics (golang.org/x/perf/benchmath), and percentiles are taken from the
// raw samples, never averaged. What a sample is too small to say is not said;
// the reason rides along as a warning.
package summary

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/montanaflynn/stats"
	"golang.org/x/perf/benchmath"

	"viplab/results"
)

// Confidence is the level of the intervals.
const Confidence = 0.95

// leastRounds is how many rounds an interval of their medians needs at the level
// of Confidence: with six, the true median lies outside their range once in 32.
const leastRounds = 6

// Cell is the samples of one quantity under one set of factors.
type Cell struct {
	Metric  string            `json:"metric"`
	Factors map[string]string `json:"factors"`
	N       int               `json:"n"`
	Median  float64           `json:"median"`
	// Lo and Hi bound the median at the level of Confidence, if Interval is
	// set; without it there are too few samples for that.
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
	Interval bool    `json:"interval"`
	// ByRounds is set when the interval is that of the rounds' medians. Samples
	// of one round resemble each other more than those of another (same guest,
	// same memory layout), so an interval over all samples would be too narrow;
	// with fewer than six rounds it is all there is.
	ByRounds    bool         `json:"interval_by_rounds"`
	Percentiles []Percentile `json:"percentiles,omitempty"`
	// Over is set when any sample was cut off by a budget: the true median
	// may be larger.
	Over     bool     `json:"over,omitempty"`
	Warnings []string `json:"warnings,omitempty"`

	Values []float64 `json:"-"`
	// Trials holds the median of each round.
	Trials map[int]float64 `json:"-"`

	rounds map[int][]float64
}

// Services is the size of the topology, 0 if the cell has none.
func (c *Cell) Services() int {
	n, _ := strconv.Atoi(c.Factors[results.Services])
	return n
}

// Summary is all cells of a run, in the order in which they first occurred, and
// what failed.
type Summary struct {
	Cells []*Cell `json:"cells"`
	// Failures has a line for each trial that failed.
	Failures []string `json:"failures,omitempty"`
	// SetAside has a line for each trial that ended well, but under conditions
	// that void its samples.
	SetAside []string `json:"set_aside,omitempty"`
	// Residue has a line for each fact of the environment that differed between
	// rounds although nobody asked for it.
	Residue []string `json:"residue,omitempty"`
	// Trials is how many trials ended well.
	Trials int `json:"trials"`

	byName map[string]*Cell
}

// Make summarises records.
func Make(records []results.Record) (*Summary, error) {
	s := &Summary{byName: map[string]*Cell{}, Residue: residue(records)}
	aside := s.outcomes(records)
	for _, r := range records {
		if r.Metric == results.Done || r.Metric == results.Environment || aside[r.Trial] {
			continue
		}
		name := r.Cell()
		c := s.byName[name]
		if c == nil {
			c = &Cell{Metric: r.Metric, Factors: r.Factors, rounds: map[int][]float64{}}
			s.byName[name] = c
			s.Cells = append(s.Cells, c)
		}
		c.Values = append(c.Values, r.Values...)
		c.rounds[r.Round] = append(c.rounds[r.Round], r.Values...)
		c.Over = c.Over || r.Over
	}
	for _, c := range s.Cells {
		if err := c.summarise(); err != nil {
			return nil, fmt.Errorf("summarise %s: %w", c.Metric, err)
		}
	}
	return s, nil
}

// outcomes counts how trials ended, and returns those to be set aside.
func (s *Summary) outcomes(records []results.Record) map[string]bool {
	aside := map[string]bool{}
	for _, r := range records {
		switch {
		case r.Metric != results.Done:
		case r.Mark != "":
			aside[r.Trial] = true
			s.SetAside = append(s.SetAside, r.Trial+": "+r.Mark)
		case r.Err != "":
			s.Failures = append(s.Failures, r.Trial+": "+r.Err)
		default:
			s.Trials++
		}
	}
	return aside
}

// residue names the facts of the environment that have several values.
func residue(records []results.Record) []string {
	seen := map[string][]string{}
	for _, r := range records {
		if r.Metric != results.Environment {
			continue
		}
		for k, v := range r.Factors {
			if !slices.Contains(seen[k], v) {
				seen[k] = append(seen[k], v)
			}
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(seen)) {
		if len(seen[k]) > 1 {
			out = append(out, fmt.Sprintf("%s was not the same in all rounds: %s", k, strings.Join(seen[k], "; ")))
		}
	}
	return out
}

func (c *Cell) summarise() error {
	c.N = len(c.Values)
	c.Trials = make(map[int]float64, len(c.rounds))
	for round, values := range c.rounds {
		if m, err := stats.Median(values); err == nil {
			c.Trials[round] = m
		}
	}
	// NewSample sorts in place; the order of measurement is kept here.
	sample := benchmath.NewSample(slices.Clone(c.Values), &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(sample, Confidence)
	c.Median = sum.Center
	for _, w := range sum.Warnings {
		c.Warnings = append(c.Warnings, w.Error())
	}
	if c.Interval = len(sum.Warnings) == 0; c.Interval {
		c.Lo, c.Hi = sum.Lo, sum.Hi
	}
	c.byRounds()
	var err error
	if c.Percentiles, err = percentiles(c.Values); err != nil {
		return err
	}
	if c.Over {
		c.Warnings = append(c.Warnings, "some samples were cut off by a time budget")
	}
	return nil
}

// byRounds takes the interval from the rounds' medians, where there are enough
// rounds of several samples each.
func (c *Cell) byRounds() {
	if len(c.Trials) < leastRounds || c.N <= len(c.Trials) {
		return
	}
	rounds := benchmath.NewSample(slices.Collect(maps.Values(c.Trials)), &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(rounds, Confidence)
	if len(sum.Warnings) == 0 {
		// The median of all samples need not lie between the rounds' medians.
		c.Lo, c.Hi, c.ByRounds, c.Interval = min(sum.Lo, c.Median), max(sum.Hi, c.Median), true, true
	}
}

// Select lists the cells of a metric whose factors have all the given values.
func (s *Summary) Select(metric string, with map[string]string) []*Cell {
	var out []*Cell
next:
	for _, c := range s.Cells {
		if c.Metric != metric {
			continue
		}
		for k, v := range with {
			if c.Factors[k] != v {
				continue next
			}
		}
		out = append(out, c)
	}
	return out
}

// One is the only cell of a metric with these factors, nil if there is none or
// more than one.
func (s *Summary) One(metric string, with map[string]string) *Cell {
	if cells := s.Select(metric, with); len(cells) == 1 {
		return cells[0]
	}
	return nil
}

// Levels lists the values that a factor has, in order of occurrence.
func (s *Summary) Levels(factor string) []string {
	var out []string
	for _, c := range s.Cells {
		if v, ok := c.Factors[factor]; ok && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// Sizes lists the numbers of Services, rising.
func (s *Summary) Sizes() []int {
	var out []int
	for _, v := range s.Levels(results.Services) {
		if n, err := strconv.Atoi(v); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
