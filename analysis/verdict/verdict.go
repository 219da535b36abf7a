// Package verdict holds a measured curve against a published one and says, from
// the data alone, whether it was reproduced: in shape (how it grows), in level (how
// large it is), or not.
package verdict

import (
	"fmt"
	"math"
	"slices"

	"github.com/montanaflynn/stats"

	"viplab/analysis/fit"
	"viplab/results/published"
)

// Kind is the verdict in a word.
type Kind string

// Kinds.
const (
	Both          Kind = "same shape, same level"
	Shape         Kind = "same shape"
	Level         Kind = "same level"
	NotReproduced Kind = "not reproduced"
	CannotCompare Kind = "cannot be compared"
)

// Reproduced tells whether a verdict is one for the published curve.
func (k Kind) Reproduced() bool { return k == Both || k == Shape || k == Level }

// Sample is one measured point: the median at X, the rounds that it is of, and
// its interval (equal to Y where there is none).
type Sample struct {
	X, Y, Lo, Hi float64
	Rounds       []float64
	Over         bool // the true value is larger
}

// Curve is a published curve beside a measured one of the same quantity, in the
// same unit.
type Curve struct {
	Target, Series string
	// What says what was measured, exactly.
	What      string
	Published []published.Point
	Ours      []Sample
	// Cannot says why the two cannot be compared; NoLevel why only their shapes
	// can.
	Cannot, NoLevel string
}

// Verdict is what the data say of a Curve.
type Verdict struct {
	Kind Kind   `json:"verdict"`
	Why  string `json:"why"`
	// Theirs and Mine are the growth exponents with their intervals, if HasShape.
	Theirs   fit.Line `json:"published_exponent"`
	Mine     fit.Line `json:"measured_exponent"`
	HasShape bool     `json:"has_shape"`
	// Ratio is the median of measured over published at the published points, 0 if
	// no point could be set against another.
	Ratio float64 `json:"ratio"`
}

const (
	// nothing is the share of a curve's first value below which it has fallen to
	// nothing, as published figures are rounded.
	nothing = 0.02
	// sameLevel is the factor up to which two levels count as the same: machines
	// of the years in question differ by about that much.
	sameLevel = 2
	// leastHalf and mostHalf bound the half-width of a published exponent's
	// interval: figures are rounded and read off plots, and an interval through
	// three points would exclude nothing.
	leastHalf, mostHalf = 0.1, 0.3
	// flatHalf is how far a measured exponent may lie from its median for reasons
	// that rounds of one run do not show.
	flatHalf = 0.05
)

// Judge holds a curve against the other.
func Judge(c Curve) Verdict {
	if c.Cannot != "" {
		return Verdict{Kind: CannotCompare, Why: c.Cannot}
	}
	ours := slices.DeleteFunc(slices.Clone(c.Ours), func(s Sample) bool { return s.Over || s.Y <= 0 })
	theirs := slices.DeleteFunc(slices.Clone(c.Published), func(p published.Point) bool { return p.Over || p.Word || p.Y <= 0 })
	if why := vanished(c); why != "" {
		return Verdict{Kind: NotReproduced, Why: why}
	}
	if len(ours) == 0 {
		return Verdict{Kind: CannotCompare, Why: "nothing was measured"}
	}
	if why := collapsed(c, ours); why != "" {
		return Verdict{Kind: NotReproduced, Why: why}
	}
	v := Verdict{Ratio: ratio(theirs, ours)}
	var err error
	if v.Theirs, v.Mine, err = exponents(theirs, ours); err == nil {
		v.HasShape = true
	}
	shape := v.HasShape && v.Theirs.Lo() <= v.Mine.Hi() && v.Mine.Lo() <= v.Theirs.Hi()
	level := c.NoLevel == "" && v.Ratio > 1.0/sameLevel && v.Ratio < sameLevel
	v.Why = v.explain(c, shape)
	switch {
	case shape && level:
		v.Kind = Both
	case shape:
		v.Kind = Shape
	case level:
		v.Kind = Level
	case !v.HasShape && (c.NoLevel != "" || v.Ratio == 0):
		v.Kind = CannotCompare
	default:
		v.Kind = NotReproduced
	}
	return v
}

func (v Verdict) explain(c Curve, shape bool) string {
	why := "too few common points for a shape"
	if v.HasShape {
		word := "exponents agree"
		if !shape {
			word = "exponents differ"
		}
		why = fmt.Sprintf("%s: published %.2f [%.2f, %.2f], measured %.2f [%.2f, %.2f]", word,
			v.Theirs.Slope, v.Theirs.Lo(), v.Theirs.Hi(), v.Mine.Slope, v.Mine.Lo(), v.Mine.Hi())
	}
	switch {
	case c.NoLevel != "":
		return why + "; levels cannot be compared: " + c.NoLevel
	case v.Ratio > 0:
		return why + fmt.Sprintf("; measured is %.3g times the published level", v.Ratio)
	}
	return why + "; no common point for a level"
}

// vanished says where something was published of which nothing was measured: a
// value of zero, not the want of one.
func vanished(c Curve) string {
	for _, p := range c.Published {
		for _, s := range c.Ours {
			if p.Y > 0 && !p.Word && s.X == p.X && s.Y == 0 && !s.Over {
				return fmt.Sprintf("published is %s, measured is none at all", p.YText)
			}
		}
	}
	return ""
}

// collapsed says where the published curve ends (falls to zero, or to a word such
// as OOM) although the measured one does not.
func collapsed(c Curve, ours []Sample) string {
	fell := false
	for _, p := range c.Published {
		if !p.Word && p.Y > 0 {
			fell = true // from something, if it is nothing later
			continue
		}
		if !fell && !p.Word {
			continue // it begins with nothing
		}
		if y, ok := At(ours, p.X); ok && (p.Word || y > nothing*ours[0].Y) {
			return fmt.Sprintf("published is %s at %s, measured is %.3g there", p.YText, p.XText, y)
		}
		// A measured curve that ends before it is followed by its last value only
		// if it has not moved by then.
		if last := ours[len(ours)-1]; last.X < p.X && len(ours) > 1 && last.Y > 0.8*ours[0].Y && p.Y == 0 && !p.Word {
			return fmt.Sprintf("published falls to %s at %s; measured has not moved up to %g (%.3g)", p.YText, p.XText, last.X, last.Y)
		}
	}
	return ""
}

// At is the measured value at x, interpolated between logarithms; ok is false
// outside of what was measured.
func At(ours []Sample, x float64) (float64, bool) {
	for i, s := range ours {
		if s.X == x || math.Abs(s.X/x-1) < 0.01 {
			return s.Y, true
		}
		if i+1 < len(ours) && s.X < x && x < ours[i+1].X && s.X > 0 {
			n := ours[i+1]
			share := math.Log(x/s.X) / math.Log(n.X/s.X)
			return math.Exp(math.Log(s.Y) + share*(math.Log(n.Y)-math.Log(s.Y))), true
		}
	}
	return 0, false
}

func ratio(theirs []published.Point, ours []Sample) float64 {
	var all []float64
	for _, p := range theirs {
		if y, ok := At(ours, p.X); ok {
			all = append(all, y/p.Y)
		}
	}
	m, err := stats.Median(all)
	if err != nil {
		return 0
	}
	return m
}

// exponents fits how both grow, over the range that both have.
func exponents(theirs []published.Point, ours []Sample) (a, b fit.Line, err error) {
	lo, hi := math.Inf(-1), math.Inf(1)
	var x, y []float64
	for _, p := range theirs {
		if p.X > 0 {
			x, y = append(x, p.X), append(y, p.Y)
		}
	}
	if len(x) < 2 || len(ours) < 2 {
		return a, b, fmt.Errorf("too few points")
	}
	lo, hi = max(lo, slices.Min(x)), min(hi, slices.Max(x))
	if a, err = power(x, y); err != nil {
		return a, b, err
	}
	a.Half = min(mostHalf, max(leastHalf, a.Half))
	var ox, oy []float64
	sizes := 0
	for _, s := range ours {
		if s.X < lo*0.99 || s.X > hi*1.01 {
			continue
		}
		sizes++
		rounds := s.Rounds
		if len(rounds) == 0 {
			rounds = []float64{s.Y}
		}
		for _, v := range rounds {
			ox, oy = append(ox, s.X), append(oy, v)
		}
	}
	if sizes < 2 {
		return a, b, fmt.Errorf("too few common points")
	}
	if b, err = power(ox, oy); err != nil {
		return a, b, err
	}
	b.Half = max(flatHalf, min(mostHalf, b.Half))
	return a, b, nil
}

// power is the exponent through points; through two of them it has no interval of
// its own.
func power(x, y []float64) (fit.Line, error) {
	if len(x) == 2 {
		if x[0] == x[1] {
			return fit.Line{}, fmt.Errorf("two points at one place")
		}
		return fit.Line{Slope: math.Log(y[1]/y[0]) / math.Log(x[1]/x[0]), N: 2}, nil
	}
	return fit.Power(x, y)
}
