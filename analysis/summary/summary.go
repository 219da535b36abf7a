// Package summary turns records into cells: all samples of one metric, of one
// variant, at one place of a trial, with the median and its interval.
//
// A report asks a Summary for the [Series] that it sets side by side, and then for the
// cells of each: [Summary.One] where one is expected, [Summary.BySize] for a line over
// the number of Services. A Summary that is being followed ([Summary.Follow]) takes down
// what was asked for, so that a report can say what it has not shown, and where several
// cells came where one was expected.
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

// Cell is the samples of one metric, of one variant, at one place of a trial.
type Cell struct {
	Metric  string            `json:"metric"`
	Variant results.Variant   `json:"variant,omitempty"`
	Factors map[string]string `json:"at,omitempty"`
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
	// with fewer than six rounds it is all there is, and only where a round has
	// many samples.
	ByRounds    bool         `json:"interval_by_rounds"`
	Percentiles []Percentile `json:"percentiles,omitempty"`
	// Over is set when any sample was cut off by a budget: the true median
	// may be larger.
	Over bool `json:"over,omitempty"`
	// Cut is in how many rounds that was so.
	Cut      int      `json:"rounds_cut_off,omitempty"`
	Warnings []string `json:"warnings,omitempty"`

	Values []float64 `json:"-"`
	// Trials holds the median of each round.
	Trials map[int]float64 `json:"-"`

	rounds map[int][]float64
	cut    map[int]bool // by round
}

// Services is the size of the topology, 0 if the cell has none.
func (c *Cell) Services() int {
	n, _ := strconv.Atoi(c.Factors[results.Services])
	return n
}

// FromNode ends the name of what the node itself was the client of.
const FromNode = ", from the node"

// Client is [FromNode] where the node itself was the client, else empty.
func (c *Cell) Client() string {
	if c.Get(results.From) != "" {
		return FromNode
	}
	return ""
}

// Get is the value of a factor or, if there is none of that name, of a key of the
// variant.
func (c *Cell) Get(key string) string {
	if v, ok := c.Factors[key]; ok {
		return v
	}
	return c.Variant[key]
}

// Summary is all cells of a run, in the order in which they first occurred, and
// what failed.
type Summary struct {
	Cells []*Cell `json:"cells"`
	// Failures has a line for each trial that failed.
	Failures []string `json:"failures,omitempty"`
	// SetAside has a line for each trial whose samples are in no cell: it failed after it had
	// measured something, or it was under conditions that void its samples.
	SetAside []string `json:"set_aside,omitempty"`
	// Residue has a line for each fact of the environment that differed between
	// rounds although nobody asked for it.
	Residue []string `json:"residue,omitempty"`
	// Trials is how many trials ended well.
	Trials int `json:"trials"`

	order    []results.Variant // as the run was configured
	baseline string            // mode
	ledger   *ledger           // of a Summary that is followed
}

// Of summarises a run: series are in the order of its configuration.
func Of(run *results.Run) (*Summary, error) {
	s, err := Make(run.Records)
	if err != nil {
		return nil, err
	}
	s.order, s.baseline = run.Variants(), run.Baseline()
	return s, nil
}

// Make summarises records without a configuration: series are in the order in which
// they first occurred.
func Make(records []results.Record) (*Summary, error) {
	s := &Summary{Residue: residue(records), baseline: results.DefaultBaseline}
	failed, void := s.outcomes(records)
	byName := map[string]*Cell{}
	for _, r := range records {
		// That something takes more than a limit is so, whatever failed afterwards.
		if !r.Sample() || void[r.Trial] || failed[r.Trial] && !r.Over {
			continue
		}
		name := r.Cell()
		c := byName[name]
		if c == nil {
			c = &Cell{Metric: r.Metric, Variant: r.Variant, Factors: r.Factors, rounds: map[int][]float64{}, cut: map[int]bool{}}
			byName[name] = c
			s.Cells = append(s.Cells, c)
		}
		c.Values = append(c.Values, r.Values...)
		c.rounds[r.Round] = append(c.rounds[r.Round], r.Values...)
		if r.Over {
			c.cut[r.Round] = true
			c.Over, c.Cut = true, len(c.cut)
		}
	}
	for _, c := range s.Cells {
		if err := c.summarise(); err != nil {
			return nil, fmt.Errorf("summarise %s: %w", c.Metric, err)
		}
	}
	return s, nil
}

// outcomes counts how trials ended, and returns those that failed, and those whose
// surroundings void all that they measured.
func (s *Summary) outcomes(records []results.Record) (failed, void map[string]bool) {
	failed, void = map[string]bool{}, map[string]bool{}
	for _, r := range records {
		switch {
		case r.Metric != results.Done:
		case r.Err != "":
			failed[r.Trial] = true
			s.Failures = append(s.Failures, r.Trial+": "+r.Err)
			if slices.ContainsFunc(records, func(o results.Record) bool { return o.Trial == r.Trial && figure(o) }) {
				s.SetAside = append(s.SetAside, r.Trial+": it failed")
			}
		case r.Mark != "":
			void[r.Trial] = true
			s.SetAside = append(s.SetAside, r.Trial+": "+r.Mark)
		default:
			s.Trials++
		}
	}
	return failed, void
}

// figure tells whether a record says something of a mode that is lost where its trial failed.
func figure(r results.Record) bool {
	m, _ := results.FindMetric(r.Metric)
	return r.Sample() && m.Compared && !r.Over
}

// residue names the facts of the environment that have several values, although they are
// about the same trials.
func residue(records []results.Record) []string {
	seen := map[string][]string{}
	var names []string
	for _, r := range records {
		if r.Metric != results.Environment {
			continue
		}
		about := ""
		if len(r.Variant) > 0 {
			about = " (" + r.Variant.Key() + ")"
		}
		for k, v := range r.Factors {
			name := k + about
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			if !slices.Contains(seen[name], v) {
				seen[name] = append(seen[name], v)
			}
		}
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		if len(seen[name]) > 1 {
			out = append(out, fmt.Sprintf("%s was not the same in all rounds: %s", name, strings.Join(seen[name], "; ")))
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
// rounds of several samples each. Of fewer rounds it takes the interval away where a round
// has too few samples for one of its own: what is cheap is made again within a trial, and as
// samples of their own five changes in each of two rounds would tell more than those rounds do.
func (c *Cell) byRounds() {
	if c.N <= len(c.Trials) {
		return
	}
	if len(c.Trials) < leastRounds {
		if c.Interval && c.fewEach() {
			c.Lo, c.Hi, c.Interval = 0, 0, false
			c.Warnings = append(c.Warnings, fmt.Sprintf("need >= %d rounds for an interval: samples of one round resemble each other", leastRounds))
		}
		return
	}
	rounds := benchmath.NewSample(slices.Collect(maps.Values(c.Trials)), &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(rounds, Confidence)
	if len(sum.Warnings) == 0 {
		// The median of all samples need not lie between the rounds' medians.
		c.Lo, c.Hi, c.ByRounds, c.Interval = min(sum.Lo, c.Median), max(sum.Hi, c.Median), true, true
	}
}

// fewEach tells whether a round has too few samples for an interval of its own.
func (c *Cell) fewEach() bool { return c.N < leastRounds*len(c.Trials) }

// Select lists the cells of a metric that have all the given factors or keys of their
// variant; an empty value is for a cell that has none. Nothing that is not named is looked at,
// so cells of several variants may come.
func (s *Summary) Select(metric string, with map[string]string) []*Cell {
	return s.filter(metric, func(c *Cell) bool { return has(c, with) })
}

// In lists the cells of a metric in one series, with all the given factors.
func (s *Summary) In(one Series, metric string, at map[string]string) []*Cell {
	return s.filter(metric, func(c *Cell) bool { return maps.Equal(c.Variant, one.Variant) && has(c, at) })
}

// One is the only cell of a metric in one series with these factors, nil if there is
// none. If there are several, it is nil too, and the ledger has a note of it.
func (s *Summary) One(one Series, metric string, at map[string]string) *Cell {
	return s.single(s.In(one, metric, at))
}

// Only is the only cell of a metric that [Summary.Select] finds; nil as with
// [Summary.One].
func (s *Summary) Only(metric string, with map[string]string) *Cell {
	return s.single(s.Select(metric, with))
}

// BySize lists the only cell for each number of Services, rising, of a metric in one
// series. Sizes with several cells are left out, with a note in the ledger.
func (s *Summary) BySize(one Series, metric string, at map[string]string) []*Cell {
	bySize := map[int][]*Cell{}
	for _, c := range s.In(one, metric, at) {
		bySize[c.Services()] = append(bySize[c.Services()], c)
	}
	var out []*Cell
	for _, n := range slices.Sorted(maps.Keys(bySize)) {
		if c := s.single(bySize[n]); c != nil {
			out = append(out, c)
		}
	}
	return out
}

func has(c *Cell, with map[string]string) bool {
	for k, v := range with {
		if c.Get(k) != v {
			return false
		}
	}
	return true
}

// filter lists cells of a metric, and takes down that they were asked for.
func (s *Summary) filter(metric string, ok func(*Cell) bool) []*Cell {
	var out []*Cell
	for _, c := range s.Cells {
		if c.Metric == metric && ok(c) {
			out = append(out, c)
		}
	}
	s.ledger.show(out)
	return out
}

func (s *Summary) single(cells []*Cell) *Cell {
	switch len(cells) {
	case 0:
		return nil
	case 1:
		return cells[0]
	}
	s.ledger.note(cells)
	return nil
}

// Where is the part of a Summary that is of some variants.
func (s *Summary) Where(ok func(results.Variant) bool) *Summary {
	out := *s
	out.Cells = slices.DeleteFunc(slices.Clone(s.Cells), func(c *Cell) bool { return !ok(c.Variant) })
	return &out
}

// Kernels lists the names of the kernels of the guest that modes were measured on, in order
// of occurrence.
func (s *Summary) Kernels() (out []string) {
	for _, c := range s.Cells {
		if k := c.Variant.KernelName(); c.Variant.Mode() != "" && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// Levels lists the values of a factor, or of a key of variants, in order of occurrence.
func (s *Summary) Levels(key string) []string {
	return levels(s.Cells, key)
}

// LevelsOf is Levels among the cells of a metric.
func (s *Summary) LevelsOf(metric, key string) []string {
	return levels(slices.DeleteFunc(slices.Clone(s.Cells), func(c *Cell) bool { return c.Metric != metric }), key)
}

func levels(cells []*Cell, key string) []string {
	var out []string
	for _, c := range cells {
		if v := c.Get(key); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// Sizes lists the numbers of Services, rising.
func (s *Summary) Sizes() []int { return sizes(s.Cells) }

// Served lists the numbers of Services at which a mode that is no baseline has figures to be
// compared, rising: at others all trials failed. Where no mode has any, it is those of all.
func (s *Summary) Served() []int {
	served := sizes(slices.DeleteFunc(slices.Clone(s.Cells), func(c *Cell) bool {
		m, _ := results.FindMetric(c.Metric)
		return !m.Compared || c.Variant.Mode() == s.baseline
	}))
	if len(served) == 0 {
		return s.Sizes()
	}
	return served
}

func sizes(cells []*Cell) []int {
	var out []int
	for _, v := range levels(cells, results.Services) {
		if n, err := strconv.Atoi(v); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
