// Package compare sets two runs side by side, cell by cell: how much a quantity
// changed, with an interval, and whether chance alone would explain it.
//
// The unit of observation is a round, since samples of one round resemble each
// other: each side is the list of its rounds' medians. Significance is by the
// Mann-Whitney U-test (golang.org/x/perf/benchmath), the change the median of all
// pairwise ratios with its interval (Hodges and Lehmann 1963), so nothing is
// assumed about the distribution.
package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/montanaflynn/stats"
	"golang.org/x/perf/benchmath"

	"viplab/analysis/summary"
	"viplab/results"
)

// Alpha is the level of the tests: of cells in which nothing changed, this share
// looks significant by chance.
const Alpha = 0.05

// Row is one cell that both runs have.
type Row struct {
	Metric  string            `json:"metric"`
	Variant results.Variant   `json:"variant"` // as in A
	Factors map[string]string `json:"at"`
	A       float64           `json:"a"` // median
	B       float64           `json:"b"`
	// Change is the share by which B is larger than A; Lo and Hi bound it at
	// 95 %, if Interval is set (four rounds in each run, at least).
	Change   float64       `json:"change"`
	Lo       results.Bound `json:"lo"`
	Hi       results.Bound `json:"hi"`
	Interval bool          `json:"interval"`
	P        float64       `json:"p"`
	// Significant is whether P is below Alpha.
	Significant bool `json:"significant"`
	// Explained is set where the change may be no larger, by its interval, than that of the
	// machine's own speed between the runs, see [Comparison.Machine], or where the same cell of
	// the baseline, which has no Service, changed alike.
	Explained bool `json:"explained,omitempty"`
	// FromNothing is set where the median of A is 0 and that of B is not, so that there is
	// no share by which it changed.
	FromNothing bool `json:"from_nothing,omitempty"`
	// Worse is whether a change in this direction is one for the worse. Of a metric
	// that has no better direction none is.
	Worse bool `json:"worse"`
}

// Comparison is all rows, and what the two runs do not share.
type Comparison struct {
	A    string `json:"a"`
	B    string `json:"b"`
	Rows []Row  `json:"rows"`
	// OnlyA and OnlyB count cells without a counterpart.
	OnlyA int `json:"only_a"`
	OnlyB int `json:"only_b"`
	// Lost lists what A has and B lost: variants of which B has no cell, and sizes of one at
	// which all of its trials failed in B.
	Lost []string `json:"lost,omitempty"`
	// Across lists the keys in which alone a variant that was lost differs from one that only B
	// has: [Options.Across] lets them meet.
	Across []string `json:"across,omitempty"`
	// Cut lists the cells that a limit of time cut off in B, and not in A.
	Cut []string `json:"cut,omitempty"`
	// Machine is by what share each fixed loop of the lab's own, which no mode touches, takes
	// longer in B than in A, by loop.
	Machine map[string]float64 `json:"machine,omitempty"`
	// Versions are those of viplab in A and B, if they differ: what and how it measures may.
	Versions []string `json:"versions,omitempty"`
	// Differences are facts of the environments that differ.
	Differences []string `json:"differences,omitempty"`
}

// Significant counts the rows that neither chance nor the machine explains.
func (c *Comparison) Significant() (n int) {
	for _, r := range c.Rows {
		if r.Significant && !r.Explained {
			n++
		}
	}
	return n
}

// Explained counts the rows whose change is significant, but the machine's.
func (c *Comparison) Explained() (n int) {
	for _, r := range c.Rows {
		if r.Significant && r.Explained {
			n++
		}
	}
	return n
}

// Worsened lists the rows whose whole interval is a change for the worse by more
// than a share, and that the machine does not explain.
func (c *Comparison) Worsened(share float64) (out []Row) {
	for _, r := range c.Rows {
		if r.Worse && r.FromNothing && r.Significant {
			out = append(out, r)
		}
		if !r.Interval || !r.Worse || r.Explained {
			continue
		}
		least := r.Lo
		if m, _ := results.FindMetric(r.Metric); m.Better == results.More {
			least = -r.Hi
		}
		if float64(least) > share {
			out = append(out, r)
		}
	}
	return out
}

// Judged counts the rows of which [Comparison.Worsened] can tell: those of a metric with a
// better direction that have an interval, or a beginning from nothing.
func (c *Comparison) Judged() (n int) {
	for _, r := range c.Rows {
		if m, _ := results.FindMetric(r.Metric); m.Better != results.Neither && (r.Interval || r.FromNothing && r.Significant) {
			n++
		}
	}
	return n
}

// DifferentError says what keeps two runs from being compared.
type DifferentError struct {
	What []string
	// Forced is whether they are compared nevertheless with [Options.Anyway].
	Forced bool
}

// Error implements error.
func (e *DifferentError) Error() string {
	return "the runs cannot be compared: " + strings.Join(e.What, "; ")
}

// Options are what two runs may differ in and be compared nevertheless.
type Options struct {
	// Anyway is for runs of different testbeds, kernels or CPUs.
	Anyway bool
	// Across lists keys of variants (kernel, backend ...) that may have one value in
	// one run and another in the other. Where a run has both, they are told apart.
	Across []string

	// itself is for a run and itself: all that changed is the machine's, and none of it explained.
	itself bool
}

// Runs compares two runs. Runs of different testbeds, kernels or CPUs are a
// [DifferentError] unless the options allow it, and so are runs without a common cell.
func Runs(a, b *results.Run, o Options) (*Comparison, error) {
	across := o.Across
	if o.Anyway {
		across = append(slices.Clone(across), results.Testbed, results.Kernel)
	}
	diff := different(a.Env, b.Env)
	forbidden := slices.DeleteFunc(slices.Clone(diff), func(d difference) bool { return o.Anyway || slices.Contains(across, d.fact) })
	if len(forbidden) > 0 {
		return nil, &DifferentError{texts(forbidden), true}
	}
	ofA, err := summary.Make(a.Records)
	if err != nil {
		return nil, err
	}
	ofB, err := summary.Make(b.Records)
	if err != nil {
		return nil, err
	}
	// What tells variants of either run apart is no matter of the runs.
	across = slices.DeleteFunc(slices.Clone(across), func(key string) bool { return tellsApart(ofA, key) || tellsApart(ofB, key) })
	cellsA, cellsB := cells(ofA, across), cells(ofB, across)
	for _, key := range o.Across {
		if !slices.ContainsFunc(slices.Concat(a.Records, b.Records), func(r results.Record) bool { return r.Variant[key] != "" }) {
			return nil, &DifferentError{What: []string{fmt.Sprintf("neither has a variant with a %s to compare across", key)}}
		}
	}
	c := &Comparison{A: a.Dir, B: b.Dir, Differences: texts(diff), Machine: machine(a, b)}
	if a.Env.Viplab != b.Env.Viplab {
		c.Versions = []string{a.Env.Viplab, b.Env.Viplab}
	}
	c.match(cellsA, cellsB)
	c.failed(cellsA, cellsB, b, across)
	c.cut(ofA, ofB, across)
	for i := range c.Rows {
		c.Rows[i].Explained = !o.itself && explained(c.Rows[i], c.Machine)
	}
	if len(diff) == 0 && !o.itself { // of different machines the baseline's change is news
		c.explainByBaseline(a.Baseline())
	}
	if len(c.Rows) == 0 {
		return nil, &DifferentError{What: []string{"they have no cell in common (modes, sizes and factors differ)" + c.Hint()}}
	}
	return c, nil
}

// match makes a row of each cell that both runs have, and counts the others.
func (c *Comparison) match(a, b map[string]*summary.Cell) {
	common := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		other, ok := b[name]
		if !ok {
			c.OnlyA++
			continue
		}
		if row, ok := compareCells(a[name], other); ok {
			c.Rows = append(c.Rows, row)
		}
		common[a[name].Variant.Key()] = true
	}
	lost, fresh := map[string]results.Variant{}, map[string]results.Variant{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		key := a[name].Variant.Key()
		if _, known := lost[key]; !common[key] && !known {
			lost[key], c.Lost = a[name].Variant, append(c.Lost, key)
		}
	}
	for name, cell := range b {
		if _, ok := a[name]; !ok {
			c.OnlyB++
			fresh[cell.Variant.Key()] = cell.Variant
		}
	}
	for _, was := range lost {
		for _, is := range fresh {
			c.couldMeet(was, is)
		}
	}
	slices.Sort(c.Across)
}

// couldMeet notes the key in which alone two variants differ, unless it is the mode.
func (c *Comparison) couldMeet(a, b results.Variant) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	maps.DeleteFunc(all, func(key, _ string) bool { return a[key] == b[key] })
	for key := range all {
		if len(all) == 1 && key != results.Mode && !slices.Contains(c.Across, key) {
			c.Across = append(c.Across, key)
		}
	}
}

// failed adds to what was lost the sizes of variants at which trials failed in B and none of
// A's cells has a counterpart.
func (c *Comparison) failed(a, b map[string]*summary.Cell, run *results.Run, across []string) {
	type place struct{ variant, services string }
	of := func(v results.Variant, at map[string]string) place {
		return place{without(v, across...).Key(), at[results.Services]}
	}
	failures := map[place]bool{}
	for _, r := range run.Records {
		if r.Metric == results.Done && r.Err != "" {
			failures[of(r.Variant, r.Factors)] = true
		}
	}
	for _, cell := range b {
		delete(failures, of(cell.Variant, cell.Factors))
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		cell := a[name]
		at := of(cell.Variant, cell.Factors)
		if !failures[at] || slices.Contains(c.Lost, cell.Variant.Key()) {
			continue
		}
		if text := at.variant + " at " + at.services + " Services, of which trials failed"; !slices.Contains(c.Lost, text) {
			c.Lost = append(c.Lost, text)
		}
	}
}

// cut lists what a limit cut off in B alone.
func (c *Comparison) cut(a, b *summary.Summary, across []string) {
	over := map[string]bool{}
	for _, cell := range b.Cells {
		over[cellName(cell, across)] = cell.Over
	}
	for _, cell := range a.Cells {
		if m, _ := results.FindMetric(cell.Metric); m.Compared && !cell.Over && over[cellName(cell, across)] {
			c.Cut = append(c.Cut, Row{Metric: cell.Metric, Variant: cell.Variant, Factors: cell.Factors}.Name())
		}
	}
}

// leastForHalves is how many rounds a run needs for its halves to be compared: with
// four rounds a side the smallest p is 0.03.
const leastForHalves = 8

// Halves compares a run with itself, its even rounds with its odd ones. Nothing
// changed between them, so about [Alpha] of the cells may differ; more says that
// the machine drifts faster than the rounds follow each other. It is nil for a run
// of too few rounds.
func Halves(run *results.Run) (*Comparison, error) {
	even, odd := *run, *run
	even.Records, odd.Records = nil, nil
	even.Dir, odd.Dir = run.Dir+" (even rounds)", run.Dir+" (odd rounds)"
	rounds := map[int]bool{}
	for _, r := range run.Records {
		if r.Metric == results.Environment || r.Metric == results.Ended {
			continue
		}
		rounds[r.Round] = true
		if r.Round%2 == 0 {
			even.Records = append(even.Records, r)
		} else {
			odd.Records = append(odd.Records, r)
		}
	}
	if len(rounds) < leastForHalves {
		return nil, nil
	}
	return Runs(&even, &odd, Options{Anyway: true, itself: true})
}

// difference is a fact of the environments in which two runs differ.
type difference struct{ fact, a, b string }

// olderClock is where times came from in runs that do not say so.
const olderClock = "kernel"

func different(a, b results.Env) []difference {
	all := []difference{
		{results.Testbed, a.Testbed, b.Testbed}, {results.Kernel, a.Kernel, b.Kernel}, {"CPU", a.CPU, b.CPU},
		{"clock", cmp.Or(a.Clock, olderClock), cmp.Or(b.Clock, olderClock)},
		{"number of CPUs", fmt.Sprint(a.CPUs), fmt.Sprint(b.CPUs)},
	}
	return slices.DeleteFunc(all, func(d difference) bool { return d.a == d.b })
}

func texts(list []difference) (out []string) {
	for _, d := range list {
		out = append(out, fmt.Sprintf("%s %q against %q", d.fact, d.a, d.b))
	}
	return out
}

// cells lists what is compared by the names of the cells, without the keys of variants that
// are compared across.
func cells(s *summary.Summary, across []string) map[string]*summary.Cell {
	out := map[string]*summary.Cell{}
	for _, c := range s.Cells {
		if m, _ := results.FindMetric(c.Metric); !m.Compared || c.Over {
			continue
		}
		out[cellName(c, across)] = c
	}
	return out
}

func cellName(c *summary.Cell, across []string) string {
	return results.Record{Metric: c.Metric, Variant: without(c.Variant, across...), Factors: c.Factors}.Cell()
}

// tellsApart tells whether two variants of a run differ in a key alone.
func tellsApart(s *summary.Summary, key string) bool {
	seen := map[string]string{}
	for _, c := range s.Cells {
		rest := without(c.Variant, key).Key()
		if other, ok := seen[rest]; ok && other != c.Variant[key] {
			return true
		}
		seen[rest] = c.Variant[key]
	}
	return false
}

// without is a variant without some keys.
func without(v results.Variant, keys ...string) results.Variant {
	out := maps.Clone(v)
	for _, k := range keys {
		delete(out, k)
	}
	return out
}

func compareCells(a, b *summary.Cell) (Row, bool) {
	if a.Median == 0 && b.Median == 0 || a.Median < 0 || b.Median < 0 {
		return Row{}, false
	}
	x, y := slices.Collect(maps.Values(a.Trials)), slices.Collect(maps.Values(b.Trials))
	row := Row{Metric: a.Metric, Variant: a.Variant, Factors: a.Factors, A: a.Median, B: b.Median, P: 1}
	if row.FromNothing = a.Median == 0; !row.FromNothing {
		row.Change, row.Lo, row.Hi, row.Interval = ratio(x, y)
	}
	cmp := benchmath.AssumeNothing.Compare(
		benchmath.NewSample(x, &benchmath.DefaultThresholds), benchmath.NewSample(y, &benchmath.DefaultThresholds))
	if len(x) > 1 && len(y) > 1 && !math.IsNaN(cmp.P) {
		row.P = cmp.P
	}
	row.Significant = row.P < Alpha
	row.Worse = worse(a.Metric, row.Change)
	if row.FromNothing {
		row.Worse = worse(a.Metric, b.Median)
	}
	return row, true
}

func worse(metric string, change float64) bool {
	m, _ := results.FindMetric(metric)
	switch m.Better {
	case results.More:
		return change < 0
	case results.Less:
		return change > 0
	}
	return false
}

// z is the quantile of the normal distribution for a two-sided 95 % interval.
const z = 1.959964

// ratio is the median of all y/x less one, with the interval of Hodges and
// Lehmann: the k-th smallest and largest ratio, with k from the normal
// approximation of the U statistic (Hollander and Wolfe, Nonparametric Statistical
// Methods, §4.3). ok is false below four values a side. A value above zero is
// infinitely more than zero; there is no change where most ratios are so.
func ratio(x, y []float64) (change float64, lo, hi results.Bound, ok bool) {
	var all []float64
	for _, a := range x {
		for _, b := range y {
			switch {
			case a > 0:
				all = append(all, b/a-1)
			case b > 0:
				all = append(all, math.Inf(1))
			default:
				all = append(all, 0)
			}
		}
	}
	slices.Sort(all)
	mid, err := stats.Median(all)
	if err != nil || math.IsInf(mid, 1) {
		return 0, 0, 0, false
	}
	n, m := float64(len(x)), float64(len(y))
	k := int(math.Floor(n*m/2 - z*math.Sqrt(n*m*(n+m+1)/12)))
	if len(x) < 4 || len(y) < 4 || k < 1 {
		return mid, 0, 0, false
	}
	return mid, results.Bound(all[k-1]), results.Bound(all[len(all)-k]), true
}
