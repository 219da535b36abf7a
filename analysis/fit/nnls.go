package fit

import (
	"errors"
	"math"
)

// NonNegative finds coefficients, none of them negative, so that the rows of x
// times the coefficients come as near to y as can be, in relative terms: it
// minimises the sum of ((x·c - y)/y)². Costs of operations are never negative, and
// values that span five decades must all count. Coordinate descent; columns that
// are zero throughout get a coefficient of zero.
func NonNegative(x [][]float64, y []float64) ([]float64, error) {
	if len(x) == 0 || len(x) != len(y) {
		return nil, errors.New("nothing to fit")
	}
	columns := len(x[0])
	a := make([][]float64, len(x)) // rows scaled to y = 1
	for i, row := range x {
		if y[i] <= 0 || len(row) != columns {
			return nil, errors.New("a fit in relative terms needs positive values")
		}
		a[i] = make([]float64, columns)
		for j, v := range row {
			a[i][j] = v / y[i]
		}
	}
	c := make([]float64, columns)
	rest := make([]float64, len(x)) // 1 - a·c
	for i := range rest {
		rest[i] = 1
	}
	const sweeps, enough = 100000, 1e-10
	for range sweeps {
		moved := 0.0
		for j := range c {
			dot, norm := 0.0, 0.0
			for i := range a {
				dot += a[i][j] * rest[i]
				norm += a[i][j] * a[i][j]
			}
			if norm == 0 {
				continue
			}
			next := math.Max(0, c[j]+dot/norm)
			d := next - c[j]
			c[j] = next
			for i := range a {
				rest[i] -= d * a[i][j]
			}
			moved = math.Max(moved, math.Abs(d)*math.Sqrt(norm))
		}
		if moved < enough {
			break
		}
	}
	return c, nil
}
