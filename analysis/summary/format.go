package summary

import (
	"fmt"
	"math"
	"strings"
)

// Unit is how a metric's values are shown: divided by Scale, with the name.
type Unit struct {
	Name  string
	Scale float64
}

// UnitFor picks the unit in which a value of a metric reads best.
func UnitFor(metric string, v float64) Unit {
	v = math.Abs(v)
	pick := func(units ...Unit) Unit {
		for _, u := range units {
			if v >= u.Scale {
				return u
			}
		}
		return units[len(units)-1]
	}
	switch {
	case strings.HasSuffix(metric, "bits_per_second"):
		return pick(Unit{"Gbit/s", 1e9}, Unit{"Mbit/s", 1e6}, Unit{"bit/s", 1})
	case strings.HasSuffix(metric, "connections_per_second"):
		return Unit{"/s", 1}
	case strings.HasSuffix(metric, "_bytes"):
		return pick(Unit{"GB", 1e9}, Unit{"MB", 1e6}, Unit{"kB", 1e3}, Unit{"B", 1})
	case strings.Contains(metric, "seconds"):
		return pick(Unit{"s", 1}, Unit{"ms", 1e-3}, Unit{"µs", 1e-6}, Unit{"ns", 1e-9})
	}
	return Unit{"", 1}
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
