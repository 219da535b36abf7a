package fit

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestLinear(t *testing.T) {
	l, err := Linear([]float64{0, 1, 2, 3}, []float64{1, 3, 5, 7})
	if err != nil || math.Abs(l.Slope-2) > 1e-9 || math.Abs(l.Intercept-1) > 1e-9 || l.Half > 1e-6 {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range [][2][]float64{{{1, 2}, {1, 2}}, {{1, 1, 1}, {1, 2, 3}}, {{1, 2, 3}, {1}}} {
		if _, err := Linear(bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

// TestCoverage: the interval holds the true slope about 95 times in 100.
func TestCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	hits := 0
	const runs = 2000
	for range runs {
		var x, y []float64
		for i := range 8 {
			x, y = append(x, float64(i)), append(y, 3*float64(i)+rng.NormFloat64())
		}
		l, err := Linear(x, y)
		if err != nil {
			t.Fatal(err)
		}
		if l.Lo() <= 3 && 3 <= l.Hi() {
			hits++
		}
	}
	if share := float64(hits) / runs; share < 0.93 || share > 0.97 {
		t.Errorf("the interval holds the slope in %.3f of the runs", share)
	}
}

func TestPower(t *testing.T) {
	l, err := Power([]float64{1, 10, 100, 0}, []float64{5, 500, 50000, 7})
	if err != nil || math.Abs(l.Slope-2) > 1e-9 || l.N != 3 {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestNonNegative(t *testing.T) {
	var x [][]float64
	var y []float64
	for i := range 20 {
		n := math.Pow(10, float64(i)/4)
		x, y = append(x, []float64{1, n, n * n, 0}), append(y, 3+0.5*n)
	}
	c, err := NonNegative(x, y)
	if err != nil || math.Abs(c[0]-3) > 1e-3 || math.Abs(c[1]-0.5) > 1e-3 || c[2] > 1e-8 || c[3] != 0 {
		t.Errorf("%v, %v", c, err)
	}
	// What would be best with a negative cost gets none.
	if c, err := NonNegative([][]float64{{1, 1}, {1, 2}, {1, 3}}, []float64{3, 2, 1}); err != nil || c[1] != 0 || c[0] <= 0 {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := NonNegative([][]float64{{1}}, []float64{0}); err == nil {
		t.Error("a value of zero was accepted")
	}
}
