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
	Factors map[string]string `json:"factors"`
	A       float64           `json:"a"` // median
	B       float64           `json:"b"`
	// Change is the share by which B is larger than A; Lo and Hi bound it at
	// 95 %, if Interval is set (four rounds in each run, at least).
	Change   float64 `json:"change"`
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
	Interval bool    `json:"interval"`
	P        float64 `json:"p"`
	// Significant is whether P is below Alpha.
	Significant bool `json:"significant"`
	// Worse is whether a change in this direction is one for the worse.
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
	// Differences are facts of the environments that differ.
	Differences []string `json:"differences,omitempty"`
}

// Significant counts the rows that chance alone would not explain.
func (c *Comparison) Significant() (n int) {
	for _, r := range c.Rows {
		if r.Significant {
			n++
		}
	}
	return n
}

// Worsened lists the rows whose whole interval is a change for the worse by more
// than a share.
func (c *Comparison) Worsened(share float64) (out []Row) {
	for _, r := range c.Rows {
		if !r.Interval || !r.Worse {
			continue
		}
		least := r.Lo
		if moreIsBetter(r.Metric) {
			least = -r.Hi
		}
		if least > share {
			out = append(out, r)
		}
	}
	return out
}

// DifferentError says what keeps two runs from being compared.
type DifferentError struct{ What []string }

// Error implements error.
func (e *DifferentError) Error() string {
	return "the runs cannot be compared: " + strings.Join(e.What, "; ")
}

// Runs compares two runs. Runs of different testbeds, kernels or CPUs are a
// [DifferentError], unless anyway is set; then cells are matched without regard
// to the testbed.
func Runs(a, b *results.Run, anyway bool) (*Comparison, error) {
	diff := different(a.Env, b.Env)
	if len(diff) > 0 && !anyway {
		return nil, &DifferentError{diff}
	}
	cellsA, err := cells(a, anyway)
	if err != nil {
		return nil, err
	}
	cellsB, err := cells(b, anyway)
	if err != nil {
		return nil, err
	}
	c := &Comparison{A: a.Dir, B: b.Dir, Differences: diff}
	for _, name := range slices.Sorted(maps.Keys(cellsA)) {
		other, ok := cellsB[name]
		if !ok {
			c.OnlyA++
			continue
		}
		if row, ok := compareCells(cellsA[name], other); ok {
			c.Rows = append(c.Rows, row)
		}
	}
	for name := range cellsB {
		if _, ok := cellsA[name]; !ok {
			c.OnlyB++
		}
	}
	if len(c.Rows) == 0 {
		return nil, &DifferentError{[]string{"they have no cell in common (modes, sizes and factors differ)"}}
	}
	return c, nil
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
		if r.Metric == results.Environment {
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
	return Runs(&even, &odd, true)
}

func different(a, b results.Env) (out []string) {
	for _, f := range [][3]string{
		{"testbed", a.Testbed, b.Testbed}, {"kernel", a.Kernel, b.Kernel}, {"CPU", a.CPU, b.CPU},
		{"number of CPUs", fmt.Sprint(a.CPUs), fmt.Sprint(b.CPUs)},
	} {
		if f[1] != f[2] {
			out = append(out, fmt.Sprintf("%s %q against %q", f[0], f[1], f[2]))
		}
	}
	return out
}

// cells summarises a run by the names of its cells.
func cells(run *results.Run, anyTestbed bool) (map[string]*summary.Cell, error) {
	s, err := summary.Make(run.Records)
	if err != nil {
		return nil, err
	}
	out := map[string]*summary.Cell{}
	for _, c := range s.Cells {
		if !comparable(c) {
			continue
		}
		f := c.Factors
		if anyTestbed {
			f = maps.Clone(f)
			delete(f, results.Testbed)
		}
		out[results.Record{Metric: c.Metric, Factors: f}.Cell()] = c
	}
	return out, nil
}

// comparable leaves out what describes the run, not the modes, and what is no
// number that a median says anything about.
func comparable(c *summary.Cell) bool {
	switch c.Metric {
	case results.TrialSeconds, results.LabPeakRSS, results.HostLoad, results.HostSteal, results.TPS, results.Objects, results.SyncPhase:
		return false
	}
	return !c.Over
}

func compareCells(a, b *summary.Cell) (Row, bool) {
	if a.Median == 0 && b.Median == 0 || a.Median < 0 || b.Median < 0 {
		return Row{}, false
	}
	x, y := slices.Collect(maps.Values(a.Trials)), slices.Collect(maps.Values(b.Trials))
	row := Row{Metric: a.Metric, Factors: a.Factors, A: a.Median, B: b.Median, P: 1}
	row.Change, row.Lo, row.Hi, row.Interval = ratio(x, y)
	cmp := benchmath.AssumeNothing.Compare(
		benchmath.NewSample(x, &benchmath.DefaultThresholds), benchmath.NewSample(y, &benchmath.DefaultThresholds))
	if len(x) > 1 && len(y) > 1 && !math.IsNaN(cmp.P) {
		row.P = cmp.P
	}
	row.Significant = row.P < Alpha
	row.Worse = row.Change > 0 != moreIsBetter(row.Metric)
	return row, true
}

func moreIsBetter(metric string) bool {
	return metric == results.ConnectionsRate || metric == results.Throughput
}

// z is the quantile of the normal distribution for a two-sided 95 % interval.
const z = 1.959964

// ratio is the median of all y/x less one, with the interval of Hodges and
// Lehmann: the k-th smallest and largest ratio, with k from the normal
// approximation of the U statistic (Hollander and Wolfe, Nonparametric Statistical
// Methods, §4.3). ok is false below four values a side.
func ratio(x, y []float64) (change, lo, hi float64, ok bool) {
	var all []float64
	for _, a := range x {
		for _, b := range y {
			if a > 0 {
				all = append(all, b/a-1)
			}
		}
	}
	mid, err := stats.Median(all)
	if err != nil {
		return math.Inf(1), 0, 0, false
	}
	slices.Sort(all)
	n, m := float64(len(x)), float64(len(y))
	k := int(math.Floor(n*m/2 - z*math.Sqrt(n*m*(n+m+1)/12)))
	if len(x) < 4 || len(y) < 4 || k < 0 || len(all) != len(x)*len(y) {
		return mid, 0, 0, false
	}
	return mid, all[k], all[len(all)-1-k], true
}
