package verdict

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"viplab/results/published"
)

func curve(f func(x float64) float64, xs ...float64) (points []published.Point, ours []Sample) {
	for _, x := range xs {
		y := f(x)
		points = append(points, published.Point{X: x, XText: fmt.Sprint(x), Y: y, YText: fmt.Sprint(y), Provenance: published.Read})
		ours = append(ours, Sample{X: x, Y: y, Lo: y, Hi: y, Rounds: []float64{0.98 * y, y, 1.02 * y}})
	}
	return points, ours
}

func scaled(f func(float64) float64, by float64) func(float64) float64 {
	return func(x float64) float64 { return by * f(x) }
}

func TestJudge(t *testing.T) {
	linear := func(x float64) float64 { return x / 1000 }
	square := func(x float64) float64 { return x * x / 1e6 }
	flat := func(float64) float64 { return 60 }
	crossing := func(x float64) float64 { return x * x / 1e7 } // meets linear amid the points
	xs := []float64{1000, 5000, 20000, 50000}
	theirs := func(f func(float64) float64) []published.Point { p, _ := curve(f, xs...); return p }
	ours := func(f func(float64) float64) []Sample { _, o := curve(f, xs...); return o }
	falls := theirs(flat)
	falls[3].Y, falls[3].YText = 0, "0"
	fallen := ours(flat)
	fallen[3].Y, fallen[3].Rounds = 0.01, nil
	begins := theirs(linear)
	begins[0].Y, begins[0].YText = 0, "0"
	oom := theirs(linear)
	oom[3].Word, oom[3].YText = true, "OOM"
	for name, c := range map[string]struct {
		want Kind
		why  string
		Curve
	}{
		"the same":          {Both, "shapes agree", Curve{Published: theirs(linear), Ours: ours(scaled(linear, 1.3))}},
		"ten times faster":  {SameShape, "0.100 times", Curve{Published: theirs(linear), Ours: ours(scaled(linear, 0.1))}},
		"growth at a level": {NotReproduced, "measured is 1.56 times", Curve{Published: theirs(linear), Ours: ours(scaled(crossing, 1.25))}},
		"another growth":    {NotReproduced, "shapes differ (likelihood ratio, p =", Curve{Published: theirs(square), Ours: ours(linear)}},
		"falls to nothing":  {NotReproduced, "published is 0 at 50000", Curve{Published: falls, Ours: ours(flat)}},
		"falls as well":     {SameShape, "levels cannot be compared", Curve{Published: falls, Ours: fallen, NoLevel: "no unit"}},
		"begins with zero":  {Both, "shapes agree", Curve{Published: begins, Ours: ours(linear)}},
		"out of memory":     {NotReproduced, "published is OOM", Curve{Published: oom, Ours: ours(linear)}},
		"no unit":           {SameShape, "levels cannot be compared: no unit", Curve{Published: theirs(flat), Ours: ours(scaled(flat, 9)), NoLevel: "no unit"}},
		"nothing measured":  {CannotCompare, "nothing was measured", Curve{Published: theirs(flat)}},
		"none at all":       {NotReproduced, "none at all: it never does", Curve{Published: theirs(flat)[:1], Ours: []Sample{{X: 1000}}, None: "it never does"}},
		"ends too early":    {CannotCompare, "would be 50.0 [", Curve{Published: theirs(linear)[3:], Ours: ours(linear)[:3]}},
		"a reason":          {CannotCompare, "no such kernel", Curve{Published: theirs(flat), Cannot: "no such kernel"}},
		"one point":         {Level, "0.700 times the published level at 1000 (42, published 60)", Curve{Published: theirs(flat)[:1], Ours: ours(scaled(flat, 0.7))[:1]}},
		"one point, far":    {NotReproduced, "0.0100 times", Curve{Published: theirs(flat)[:1], Ours: ours(scaled(flat, 0.01))[:1]}},
		"only over a limit": {CannotCompare, "more than 5 at 1000", Curve{Published: theirs(flat), Ours: []Sample{{X: 1000, Y: 5, Over: true}}}},
	} {
		got := Judge(c.Curve)
		if got.Kind != c.want || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s: %s, %s", name, got.Kind, got.Why)
		}
	}
}

func TestAt(t *testing.T) {
	_, ours := curve(func(x float64) float64 { return x * x }, 10, 1000)
	if y, ok := At(ours, 100); !ok || math.Abs(y-10000) > 1e-6 {
		t.Errorf("%g, %v", y, ok)
	}
	if _, ok := At(ours, 5000); ok {
		t.Error("a value beyond what was measured")
	}
}

// TestShapes: a constant is no growth; one interval that is wide is no agreement; and what
// the data cannot tell is said.
func TestShapes(t *testing.T) {
	xs := []float64{1000, 5000, 10000, 30000}
	theirs := func(xs []float64, f func(float64) float64) []published.Point { p, _ := curve(f, xs...); return p }
	ours := func(f func(float64) float64) []Sample { _, o := curve(f, xs...); return o }
	power := func(k float64) func(float64) float64 { return func(x float64) float64 { return math.Pow(x/1000, k) } }
	above := func(c float64, f func(float64) float64) func(float64) float64 {
		return func(x float64) float64 { return c + f(x) }
	}
	wide := ours(power(0.42))
	for i := range wide {
		wide[i].Rounds = []float64{0.4 * wide[i].Y, wide[i].Y, 1.6 * wide[i].Y}
	}
	for name, c := range map[string]struct {
		theirs          []published.Point
		ours            []Sample
		same, different bool
		text            string
	}{
		"1.02 and 0.42":                   {theirs(xs, power(1.02)), ours(power(0.42)), false, true, "shapes differ"},
		"1.02 and 0.42, straying":         {theirs(xs, power(1.02)), wide, false, false, "could not have told 1 from"},
		"the same above another constant": {theirs(xs, power(1)), ours(above(20, power(1))), true, false, "shapes agree"},
		"a constant hides a square":       {theirs(xs, above(5, power(2))), ours(power(1)), false, true, "shapes differ"},
		"two published points":            {theirs(xs[2:], power(1)), ours(power(1)), false, false, "could not have told"},
		"one flat, the other not":         {theirs(xs, power(0)), ours(power(1)), false, true, "one is flat"},
		"both flat":                       {theirs(xs, power(0)), ours(power(0.02)), true, false, "neither moves"},
	} {
		s, err := compareShapes(c.theirs, c.ours)
		if err != nil || s.Same != c.same || s.Different != c.different || !strings.Contains(s.Text(), c.text) {
			t.Errorf("%s: %v %+v: %s", name, err, s, s.Text())
		}
		if b, err := json.Marshal(s); err != nil {
			t.Errorf("%s: %s %v", name, b, err)
		}
	}
}
