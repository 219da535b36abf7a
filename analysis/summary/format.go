package summary

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"viplab/results"
)

// UnitFor picks the scale in which a value of a metric reads best.
func UnitFor(metric string, v float64) results.Scaled {
	m, _ := results.FindMetric(metric)
	return m.Unit.For(v)
}

// mostApart is how many times a scale the largest of several values may be before they
// are shown in a larger one, in which the smallest is at least leastShown.
const (
	mostApart  = 1e4
	leastShown = 0.01
)

// UnitForAll picks the one scale in which several values of a metric are shown beside each
// other: the one in which the smallest reads best, unless the largest would be a long row
// of digits in it; then a larger one in which the smallest still has digits.
func UnitForAll(metric string, values []float64) results.Scaled {
	m, _ := results.FindMetric(metric)
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v = math.Abs(v); v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if high == 0 {
		return m.Unit.For(0)
	}
	best := m.Unit.For(low)
	for _, larger := range slices.Backward(m.Unit.Scales()) {
		if larger.Scale > best.Scale && high >= mostApart*best.Scale && low >= leastShown*larger.Scale {
			best = larger
		}
	}
	return best
}

// Number writes a value with three significant digits.
func Number(v float64) string { return Digits(v, decimals(v, 0)) }

// Plain writes a whole number as it is, and another with three significant digits.
func Plain(v float64) string {
	if v == math.Trunc(v) {
		return Digits(v, 0)
	}
	return Number(v)
}

// Digits writes a value with so many digits after the point; of a negative number of them
// the digits before it are rounded.
func Digits(v float64, digits int) string {
	if digits < 0 {
		p := math.Pow(10, float64(-digits))
		return fmt.Sprintf("%.0f", math.Round(v/p)*p)
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// Most digits that a figure is written with: three significant ones, and no more than the
// first two of what it may be off by. A whole number keeps the digits before its point
// where nothing is known of its error.
const (
	mostDigits  = 3
	widthDigits = 2
	mostAfter   = 9
)

// decimals is how many digits after the point a value is written with that may be off by
// width (0: nothing is known of that).
func decimals(v, width float64) int {
	digits := 0
	if v != 0 && !math.IsNaN(v) && !math.IsInf(v, 0) {
		digits = max(0, mostDigits-1-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	if width > 0 && !math.IsInf(width, 0) {
		digits = min(digits, widthDigits-1-int(math.Floor(math.Log10(width))))
	}
	return min(digits, mostAfter)
}

// Write writes a value and its interval in one scale, without the scale's name, with as
// many digits as the interval carries. A value without an interval (lo and hi equal to
// it) has three significant ones.
func Write(v, lo, hi float64, u results.Scaled) (value, interval string) {
	v, lo, hi = v/u.Scale, lo/u.Scale, hi/u.Scale
	digits := decimals(v, (hi-lo)/2)
	if v == 0 {
		digits = decimals(max(math.Abs(lo), math.Abs(hi)), (hi-lo)/2)
	}
	return Digits(v, digits), "[" + Digits(lo, digits) + ", " + Digits(hi, digits) + "]"
}

// scale is the one in which the median and its interval read best.
func (c *Cell) scale() results.Scaled {
	largest := math.Abs(c.Median)
	if c.Interval {
		largest = max(largest, math.Abs(c.Hi), math.Abs(c.Lo))
	}
	return UnitFor(c.Metric, largest)
}

// In writes the median and its interval in one scale, without the scale's name: "12.3" and
// "[11.9, 12.8]". Where there is no interval, the second says of how many samples the
// median is.
func (c *Cell) In(u results.Scaled) (median, interval string) {
	if c == nil {
		return "-", ""
	}
	lo, hi := c.Median, c.Median
	if c.Interval {
		lo, hi = c.Lo, c.Hi
	}
	median, interval = Write(c.Median, lo, hi, u)
	if !c.Interval {
		interval = fmt.Sprintf("(n=%d)", c.N)
	}
	if c.Over {
		median = "> " + median
	}
	return median, interval
}

// Text is the median with its unit, for example "12.3 ms".
func (c *Cell) Text() string {
	if c == nil {
		return "-"
	}
	u := c.scale()
	median, _ := c.In(u)
	return strings.TrimSpace(median + " " + u.Name)
}

// Range is the interval in the unit of the median, for example "[11.9, 12.8]",
// or why there is none.
func (c *Cell) Range() string {
	if c == nil {
		return ""
	}
	_, interval := c.In(c.scale())
	return interval
}

// CountServices says how many, as a sentence does: "1 Service", "1000 Services".
func CountServices(n int) string { return Count(n, "Service") }

// Count says how many of something there are, by the word for one: "1 trial", "2 trials".
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
