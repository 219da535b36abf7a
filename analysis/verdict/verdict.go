// Package verdict holds a measured curve against a published one and says, from
// the data alone, whether it was reproduced: in shape (how it grows), in level (how
// large it is), or not.
package verdict

import (
	"fmt"
	"math"
	"slices"

	"github.com/montanaflynn/stats"

	"viplab/analysis/summary"
	"viplab/results/published"
)

// Kind is the verdict in a word.
type Kind string

// Kinds.
const (
	Both          Kind = "same shape, same level"
	SameShape     Kind = "same shape"
	Level         Kind = "same level"
	NotReproduced Kind = "not reproduced"
	// Undecided is that the data are too few, or stray too much, to say either.
	Undecided     Kind = "cannot be told"
	CannotCompare Kind = "cannot be compared"
)

// Reproduced tells whether a verdict is one for the published curve.
func (k Kind) Reproduced() bool { return k == Both || k == SameShape || k == Level }

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
	// None is what it means that nothing at all was measured where something was published.
	None string
}

// Verdict is what the data say of a Curve.
type Verdict struct {
	Kind Kind   `json:"verdict"`
	Why  string `json:"why"`
	// Shape is how the two grow, nil if they have too few points in common.
	Shape *Shape `json:"shape,omitempty"`
	// Ratio is the median of measured over published at the published points, 0 if
	// no point could be set against another.
	Ratio float64 `json:"ratio"`

	carried string // where the measured curve would go on to
	alone   string // the values of the only point that both have
}

const (
	// nothing is the share of a curve's first value below which it has fallen to
	// nothing, as published figures are rounded.
	nothing = 0.02
	// sameLevel is the factor up to which two levels count as the same: machines
	// of the years in question differ by about that much.
	sameLevel = 2
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
		return Verdict{Kind: CannotCompare, Why: unmeasured(c)}
	}
	if why := collapsed(c, ours); why != "" {
		return Verdict{Kind: NotReproduced, Why: why}
	}
	v := Verdict{Ratio: ratio(theirs, ours)}
	if shape, err := compareShapes(theirs, ours); err == nil {
		v.Shape = &shape
	}
	v.alone = alone(theirs, ours)
	if v.Ratio == 0 && c.NoLevel == "" {
		v.carried = carry(theirs, ours)
	}
	v.Why = v.explain(c)
	v.Kind = v.kind(c)
	return v
}

// kind follows from shape and level. Shapes that differ are a finding at any level. Levels that
// differ are none by themselves where shapes agree or cannot be told: machines of many years do.
// Where there are too few points for a shape, the level is all that was published.
func (v Verdict) kind(c Curve) Kind {
	level := c.NoLevel == "" && v.Ratio > 1.0/sameLevel && v.Ratio < sameLevel
	switch {
	case v.Shape == nil && level:
		return Level
	case v.Shape == nil && (c.NoLevel != "" || v.Ratio == 0):
		return CannotCompare
	case v.Shape == nil || v.Shape.Different:
		return NotReproduced
	case v.Shape.Same && level:
		return Both
	case v.Shape.Same:
		return SameShape
	case level:
		return Level
	}
	return Undecided
}

func (v Verdict) explain(c Curve) string {
	why := "too few common points for a shape"
	if v.Shape != nil {
		why = v.Shape.Text()
	}
	switch {
	case c.NoLevel != "":
		return why + "; levels cannot be compared: " + c.NoLevel
	case v.Ratio > 0:
		return why + fmt.Sprintf("; measured is %s times the published level", summary.Plain(v.Ratio)) + v.alone
	}
	return why + "; no common point for a level" + v.carried
}

// alone names both values where only one point of both curves can be compared.
func alone(theirs []published.Point, ours []Sample) (text string) {
	for _, p := range theirs {
		y, ok := At(ours, p.X)
		if ok && text != "" {
			return ""
		}
		if ok {
			text = fmt.Sprintf(" (%s, published %s)", summary.Plain(y), summary.Plain(p.Y))
			if p.X > 0 {
				text = fmt.Sprintf(" at %s", summary.Plain(p.X)) + text
			}
		}
	}
	return text
}

// unmeasured says what there is where no value could be measured.
func unmeasured(c Curve) string {
	for _, s := range slices.Backward(c.Ours) {
		if s.Over && s.X > 0 {
			return fmt.Sprintf("nothing was measured but that it is more than %s at %s", summary.Plain(s.Y), summary.Plain(s.X))
		}
		if s.Over {
			return fmt.Sprintf("nothing was measured but that it is more than %s", summary.Plain(s.Y))
		}
	}
	return "nothing was measured"
}

// vanished says where something was published of which nothing was measured: a
// value of zero, not the want of one.
func vanished(c Curve) string {
	for _, p := range c.Published {
		for _, s := range c.Ours {
			if p.Y > 0 && !p.Word && s.X == p.X && s.Y == 0 && !s.Over {
				why := fmt.Sprintf("published is %s, measured is none at all", p.YText)
				if c.None != "" {
					why += ": " + c.None
				}
				return why
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
			return fmt.Sprintf("published is %s at %s, measured is %s there", p.YText, p.XText, summary.Plain(y))
		}
		// A measured curve that ends before it is followed by its last value only
		// if it has not moved by then.
		if last := ours[len(ours)-1]; last.X < p.X && len(ours) > 1 && last.Y > 0.8*ours[0].Y && p.Y == 0 && !p.Word {
			return fmt.Sprintf("published falls to %s at %s; measured has not moved up to %s (%s)", p.YText, p.XText, summary.Plain(last.X), summary.Plain(last.Y))
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
