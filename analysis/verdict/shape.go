package verdict

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"viplab/analysis/summary"
	"viplab/results"
	"viplab/results/published"
)

// Shape is how two curves grow, each as y = Constant + b·x^Exponent with a constant that is
// not negative: what does not depend on x (a first packet's way without a Service, the
// start of a tool) is no growth, and differs between machines.
type Shape struct {
	Theirs Exponent `json:"published"`
	Mine   Exponent `json:"measured"`
	// Lo and Hi bound the difference of the exponents, measured less published, at 90 %:
	// what lies between them cannot be told from what was found. They are infinite where
	// the data say nothing.
	Lo results.Bound `json:"difference_lo"`
	Hi results.Bound `json:"difference_hi"`
	// P is that of the likelihood-ratio test of equal exponents.
	P float64 `json:"p"`
	// Flat is set where neither curve moves by more than a share of flatWithin: then there
	// is no exponent to compare, and the shapes are the same.
	Flat bool `json:"flat,omitempty"`
	// Same and Different are what follows. Where neither is set, the data do not tell.
	Same      bool `json:"same"`
	Different bool `json:"different"`
}

// Exponent is a fitted one with its 95 % interval and the constant beside it.
type Exponent struct {
	Best     float64       `json:"best"`
	Lo       results.Bound `json:"lo"`
	Hi       results.Bound `json:"hi"`
	Constant float64       `json:"constant"`
}

const (
	// margin is how far apart two exponents may be and count as the same: half of what
	// parts a logarithm or a constant from n log n or a square root in practice.
	margin = 0.25
	// flatWithin is the share by which a curve that is flat may move: what published
	// figures and neighbours of a machine stray by.
	flatWithin = 0.15
	// grownBy is the share by which a curve must move to be another than a flat one.
	grownBy = 1
	// readError is the relative error of a published figure: read off a plot, or rounded.
	readError, roundError = 0.10, 0.05
	// leastError is the relative error that a measured median has at least, since rounds of
	// one run resemble each other.
	leastError = 0.03
	// unknownError is that of a measured value without interval.
	unknownError = 0.10
	// Exponents are looked for in this range, in these steps.
	lowest, highest, stride = -2.0, 4.0, 0.02
)

// spot is a point of a curve with its relative error.
type spot struct{ x, y, err float64 }

// compareShapes tells whether two curves grow alike, over the range that both have.
func compareShapes(theirs []published.Point, ours []Sample) (Shape, error) {
	a, b := common(theirs, ours)
	if len(a) < 2 || len(b) < 2 {
		return Shape{}, fmt.Errorf("too few common points")
	}
	var s Shape
	p, q := profileOf(a), profileOf(b)
	s.Theirs, s.Mine = p.exponent(), q.exponent()
	moved, mine := movement(a), movement(b)
	if s.Flat = moved < flatWithin && mine < flatWithin; s.Flat {
		s.Same, s.P = true, 1
		return s, nil
	}
	if moved < flatWithin && mine > grownBy || mine < flatWithin && moved > grownBy {
		s.Different = true
		return s, nil
	}
	lo, hi, ratio := difference(p, q)
	s.Lo, s.Hi = results.Bound(lo), results.Bound(hi)
	s.P = 1 - distuv.ChiSquared{K: 1}.CDF(ratio)
	s.Same = lo > -margin && hi < margin
	s.Different = !s.Same && s.P < 0.05
	return s, nil
}

// common lists the points of both curves in the range of x that both have.
func common(theirs []published.Point, ours []Sample) (a, b []spot) {
	for _, p := range theirs {
		if p.X > 0 && p.Y > 0 {
			e := roundError
			if p.Provenance == published.Plot || p.Provenance == published.Memory {
				e = readError
			}
			a = append(a, spot{p.X, p.Y, e})
		}
	}
	b = spots(ours)
	if len(a) == 0 || len(b) == 0 {
		return nil, nil
	}
	byX := func(l, r spot) int { return int(math.Copysign(1, l.x-r.x)) }
	lo := max(slices.MinFunc(a, byX).x, slices.MinFunc(b, byX).x) * 0.99
	hi := min(slices.MaxFunc(a, byX).x, slices.MaxFunc(b, byX).x) * 1.01
	outside := func(s spot) bool { return s.x < lo || s.x > hi }
	return slices.DeleteFunc(a, outside), slices.DeleteFunc(b, outside)
}

// spots are measured points that a curve can be fitted to.
func spots(ours []Sample) (out []spot) {
	for _, s := range ours {
		if s.X > 0 && s.Y > 0 {
			out = append(out, spot{s.X, s.Y, errorOf(s)})
		}
	}
	return out
}

// errorOf is the relative standard error of a measured point: of the mean of its rounds, or
// else from its interval.
func errorOf(s Sample) float64 {
	if len(s.Rounds) > 1 {
		return max(leastError, stat.StdErr(stat.StdDev(s.Rounds, nil), float64(len(s.Rounds)))/s.Y)
	}
	if s.Hi > s.Lo {
		const halfWidths = 2 * 1.96 // of a 95 % interval, in standard errors
		return max(leastError, (s.Hi-s.Lo)/halfWidths/s.Y)
	}
	return unknownError
}

// movement is how far a curve moves between its ends, as a share of the lower one.
func movement(list []spot) float64 {
	first, last := list[0].y, list[len(list)-1].y
	return max(first, last)/min(first, last) - 1
}

// profile is how badly each exponent fits a curve: the sum of squares, in standard errors,
// of the best constant and factor with it.
type profile struct {
	squares, constants []float64 // by step from lowest
	best               int
}

func steps() int { return int(math.Round((highest-lowest)/stride)) + 1 }

func exponentAt(i int) float64 { return lowest + stride*float64(i) }

// profileOf fits all exponents. Where even the best fits worse than the errors explain, they
// are taken to be larger by so much.
func profileOf(list []spot) profile {
	p := profile{squares: make([]float64, steps()), constants: make([]float64, steps())}
	for i := range p.squares {
		p.squares[i], p.constants[i] = squaresOf(list, exponentAt(i))
		if p.squares[i] < p.squares[p.best] {
			p.best = i
		}
	}
	const parameters = 3
	if free := float64(len(list) - parameters); free > 0 && p.squares[p.best] > free {
		by := p.squares[p.best] / free
		for i := range p.squares {
			p.squares[i] /= by
		}
	}
	return p
}

// carry says where a measured curve would be at the published point after its end if it
// went on as it grew, or that it is too short to tell; empty if it reaches it.
func carry(theirs []published.Point, ours []Sample) string {
	list := spots(ours)
	at := slices.IndexFunc(theirs, func(p published.Point) bool { return len(list) > 0 && p.X > list[len(list)-1].x })
	if at < 0 {
		return ""
	}
	end, x := summary.Plain(list[len(list)-1].x), theirs[at].X
	e := profileOf(list).exponent()
	const wide = 1.5
	if len(list) < 3 || float64(e.Hi-e.Lo) > wide {
		return fmt.Sprintf(": measured up to %s, which is too little to say what it would be at %s", end, theirs[at].XText)
	}
	value := func(exponent float64) string { return summary.Plain(valueAt(list, exponent, x)) }
	return fmt.Sprintf(": measured up to %s; going on as it grew (power %s) it would be %s [%s, %s] at %s, where published is %s; that is extrapolated, so no verdict",
		end, e.text(), value(e.Best), value(float64(e.Lo)), value(float64(e.Hi)), theirs[at].XText, theirs[at].YText)
}

// valueAt is the best curve of an exponent at x.
func valueAt(list []spot, exponent, x float64) float64 {
	constant, factor, middle := fitted(list, exponent)
	return constant + factor*math.Pow(x/middle, exponent)
}

// squaresOf fits constant and factor for one exponent, by least squares; the constant is
// not negative.
func squaresOf(list []spot, exponent float64) (squares, constant float64) {
	constant, factor, middle := fitted(list, exponent)
	for _, s := range list {
		r := (s.y - constant - factor*math.Pow(s.x/middle, exponent)) / (s.err * s.y)
		squares += r * r
	}
	return squares, constant
}

// fitted is the best curve constant + factor·(x/middle)^exponent.
func fitted(list []spot, exponent float64) (constant, factor, middle float64) {
	middle = math.Sqrt(list[0].x * list[len(list)-1].x)
	var sw, sx, sxx, sy, sxy float64
	for _, s := range list {
		x, w := math.Pow(s.x/middle, exponent), 1/(s.err*s.y*s.err*s.y)
		sw, sx, sxx, sy, sxy = sw+w, sx+w*x, sxx+w*x*x, sy+w*s.y, sxy+w*x*s.y
	}
	factor = sxy / sxx
	if d := sw*sxx - sx*sx; d > 1e-9*sw*sxx {
		if c := (sxx*sy - sx*sxy) / d; c > 0 {
			constant, factor = c, (sw*sxy-sx*sy)/d
		}
	}
	return constant, factor, middle
}

// exponent is the best one, with those that a test at 5 % does not exclude.
func (p profile) exponent() Exponent {
	limit := p.squares[p.best] + distuv.ChiSquared{K: 1}.Quantile(0.95)
	lo, hi := p.best, p.best
	for i, s := range p.squares {
		if s <= limit {
			lo, hi = min(lo, i), max(hi, i)
		}
	}
	return Exponent{exponentAt(p.best), open(lo), open(hi), p.constants[p.best]}
}

// open is a bound that is infinite at the ends of what was looked at.
func open(i int) results.Bound {
	switch i {
	case 0:
		return results.Bound(math.Inf(-1))
	case steps() - 1:
		return results.Bound(math.Inf(1))
	}
	return results.Bound(exponentAt(i))
}

// difference bounds q's exponent less p's at 90 %, and gives twice the logarithm of the
// likelihood ratio of any two exponents over equal ones.
func difference(p, q profile) (lo, hi, ratio float64) {
	limit := p.squares[p.best] + q.squares[q.best] + distuv.ChiSquared{K: 1}.Quantile(0.90)
	n := steps()
	lo, hi = math.Inf(1), math.Inf(-1)
	equal := math.Inf(1)
	for i := range n {
		equal = min(equal, p.squares[i]+q.squares[i])
		for j := range n {
			if p.squares[i]+q.squares[j] > limit {
				continue
			}
			d := exponentAt(j) - exponentAt(i)
			if j == 0 || i == n-1 {
				d = math.Inf(-1)
			}
			lo = min(lo, d)
			if d = exponentAt(j) - exponentAt(i); j == n-1 || i == 0 {
				d = math.Inf(1)
			}
			hi = max(hi, d)
		}
	}
	return lo, hi, max(0, equal-p.squares[p.best]-q.squares[q.best])
}

// Text says what was found, and what could not have been told from it.
func (s Shape) Text() string {
	if s.Flat {
		return fmt.Sprintf("neither moves by more than %.0f %%", 100*flatWithin)
	}
	said := fmt.Sprintf("published grows with the power %s, measured with %s, above what is constant", s.Theirs.text(), s.Mine.text())
	told := func(b results.Bound) string { return fmt.Sprintf("%.2g", s.Theirs.Best+float64(b)) }
	from := "anything"
	switch {
	case math.IsInf(float64(s.Lo), 0) && math.IsInf(float64(s.Hi), 0):
	case math.IsInf(float64(s.Hi), 0):
		from = "anything above " + told(s.Lo)
	case math.IsInf(float64(s.Lo), 0):
		from = "anything below " + told(s.Hi)
	default:
		from = told(s.Lo) + " to " + told(s.Hi)
	}
	switch {
	case s.Different && s.P == 0 && s.Lo == 0 && s.Hi == 0:
		return "shapes differ: one is flat, the other is not; " + said
	case s.Different:
		return fmt.Sprintf("shapes differ (likelihood ratio, p = %.2g): %s", s.P, said)
	case s.Same:
		return fmt.Sprintf("shapes agree: %s; the data exclude all but %s", said, from)
	}
	return fmt.Sprintf("shapes cannot be told apart, nor be called the same: %s; the data could not have told %.2g from %s",
		said, s.Theirs.Best, from)
}

func (e Exponent) text() string {
	show := func(b results.Bound) string {
		if math.IsInf(float64(b), 0) {
			return "any"
		}
		return fmt.Sprintf("%.2f", float64(b))
	}
	return fmt.Sprintf("%.2f [%s, %s]", e.Best, show(e.Lo), show(e.Hi))
}
