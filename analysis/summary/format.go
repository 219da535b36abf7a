package summary

import (
	"fmt"
	"math"
	"strings"

	"viplab/results"
)

// UnitFor picks the scale in which a value of a metric reads best.
func UnitFor(metric string, v float64) results.Scaled {
	m, _ := results.FindMetric(metric)
	return m.Unit.For(v)
}

// Number writes a value with three significant digits.
func Number(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 100 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Text is the median with its unit, for example "12.3 ms".
func (c *Cell) Text() string {
	if c == nil {
		return "-"
	}
	u := UnitFor(c.Metric, c.Median)
	over := ""
	if c.Over {
		over = "> "
	}
	return strings.TrimSpace(over + Number(c.Median/u.Scale) + " " + u.Name)
}

// Range is the interval in the unit of the median, for example "[11.9, 12.8]",
// or why there is none.
func (c *Cell) Range() string {
	if c == nil {
		return ""
	}
	if !c.Interval {
		return fmt.Sprintf("(n=%d)", c.N)
	}
	u := UnitFor(c.Metric, c.Median)
	return fmt.Sprintf("[%s, %s]", Number(c.Lo/u.Scale), Number(c.Hi/u.Scale))
}
