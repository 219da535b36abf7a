// Package fit puts lines through measurements: the cost of one more rule on the
// way of a first packet, and the exponent with which a cost grows.
package fit

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Line is y = Intercept + Slope·x by least squares, with the half-width of the
// slope's 95 % interval (Student's t with n-2 degrees of freedom).
type Line struct {
	Slope, Intercept float64
	Half             float64
	N                int
}

// Lo is the lower bound of the slope.
func (l Line) Lo() float64 { return l.Slope - l.Half }

// Hi is the upper bound of the slope.
func (l Line) Hi() float64 { return l.Slope + l.Half }

// Linear fits a line. It needs three points and two different x.
func Linear(x, y []float64) (Line, error) {
	n := len(x)
	if n != len(y) || n < 3 {
		return Line{}, fmt.Errorf("a line needs at least 3 points, got %d and %d values", n, len(y))
	}
	varX := stat.Variance(x, nil)
	if varX == 0 {
		return Line{}, fmt.Errorf("all %d points have the same x", n)
	}
	a, b := stat.LinearRegression(x, y, nil, false)
	rss := 0.0
	for i := range x {
		d := y[i] - a - b*x[i]
		rss += d * d
	}
	dof := float64(n - 2)
	se := math.Sqrt(rss / dof / (varX * float64(n-1)))
	t := distuv.StudentsT{Sigma: 1, Nu: dof}.Quantile(0.975)
	return Line{Slope: b, Intercept: a, Half: t * se, N: n}, nil
}

// Power fits y = c·x^Slope, a line through the logarithms.
func Power(x, y []float64) (Line, error) {
	var lx, ly []float64
	for i := range min(len(x), len(y)) {
		if x[i] > 0 && y[i] > 0 {
			lx, ly = append(lx, math.Log(x[i])), append(ly, math.Log(y[i]))
		}
	}
	return Linear(lx, ly)
}
