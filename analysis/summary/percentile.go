package summary

import (
	"slices"

	"github.com/montanaflynn/stats"
	"gonum.org/v1/gonum/stat/distuv"
)

// Percentile is a percentile of raw samples.
type Percentile struct {
	P     float64 `json:"p"` // in per cent
	Value float64 `json:"value"`
	// Lo and Hi bound it at the level of Confidence, if Interval is set;
	// without it the sample does not reach far enough to both sides.
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
	Interval bool    `json:"interval"`
}

// Percents lists the percentiles that a cell has, if its sample carries them.
func Percents() []float64 { return []float64{1, 10, 50, 90, 99} }

// leastFor is the smallest sample for a percentile to be given: below it, it
// would be one of the few outermost samples, or none.
func leastFor(p float64) int {
	switch min(p, 100-p) {
	case 1:
		return 100
	case 10:
		return 30
	}
	return 2
}

// percentiles takes from raw samples those percentiles that they carry.
func percentiles(values []float64) ([]Percentile, error) {
	sorted := slices.Sorted(slices.Values(values))
	var out []Percentile
	for _, p := range Percents() {
		if len(sorted) < leastFor(p) {
			continue
		}
		v, err := stats.PercentileNearestRank(sorted, p)
		if err != nil {
			return nil, err
		}
		one := Percentile{P: p, Value: v}
		if lo, hi, ok := ranks(len(sorted), p/100); ok {
			one.Lo, one.Hi, one.Interval = sorted[lo-1], sorted[hi-1], true
		}
		out = append(out, one)
	}
	return out, nil
}

// ranks gives the order statistics (counted from 1) between which a quantile lies
// at the level of Confidence: how many of n samples are below it is binomial, so
// P(lo-th ≤ quantile) and P(quantile ≤ hi-th) follow without any assumption about
// the samples' distribution (David and Nagaraja, Order Statistics, §7.1). ok is
// false where one of the two would lie outside the sample.
func ranks(n int, q float64) (lo, hi int, ok bool) {
	tail := (1 - Confidence) / 2
	below := distuv.Binomial{N: float64(n), P: q}
	for lo < n && below.CDF(float64(lo)) <= tail {
		lo++
	}
	hi = lo
	for hi <= n && below.CDF(float64(hi-1)) < 1-tail {
		hi++
	}
	return lo, hi, lo >= 1 && hi <= n
}

// Percentile is one of the cell's percentiles, nil if its sample does not carry
// it.
func (c *Cell) Percentile(p float64) *Percentile {
	if c == nil {
		return nil
	}
	for i := range c.Percentiles {
		if c.Percentiles[i].P == p {
			return &c.Percentiles[i]
		}
	}
	return nil
}
