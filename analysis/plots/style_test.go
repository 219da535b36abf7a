package plots

import (
	"fmt"
	"image/color"
	"math"
	"testing"
)

// seen is a linear RGB colour as people see it who lack one kind of cone: the matrices
// of Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of
// Color Vision Deficiency" (2009), at full severity.
func seen(m [3][3]float64, c [3]float64) (out [3]float64) {
	for i := range m {
		for j := range c {
			out[i] += m[i][j] * c[j]
		}
		out[i] = min(1, max(0, out[i]))
	}
	return out
}

func linear(c color.RGBA) (out [3]float64) {
	for i, v := range []uint8{c.R, c.G, c.B} {
		if s := float64(v) / 255; s <= 0.04045 {
			out[i] = s / 12.92
		} else {
			out[i] = math.Pow((s+0.055)/1.055, 2.4)
		}
	}
	return out
}

// lab is a linear sRGB colour in CIE L*a*b*, white point D65.
func lab(c [3]float64) (out [3]float64) {
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.9505)
	y := f(0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2])
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.089)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// TestPalette: colours of modes can be told apart, by those who lack red or green cones
// too; a difference of 2.3 in L*a*b* is the least that anybody notices.
func TestPalette(t *testing.T) {
	const apart = 10
	views := map[string][3][3]float64{
		"all cones":    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
		"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	}
	all := append(palette(), grey(), color.RGBA{255, 255, 255, 255})
	for name, m := range views {
		for i, a := range all {
			for _, b := range all[:i] {
				p, q := lab(seen(m, linear(a))), lab(seen(m, linear(b)))
				if d := math.Hypot(math.Hypot(p[0]-q[0], p[1]-q[1]), p[2]-q[2]); d < apart {
					t.Errorf("%s: %v and %v are %.1f apart", name, a, b, d)
				}
			}
		}
	}
}

// TestLooks: no two series of a report look alike, and variants of a mode share its
// colour.
func TestLooks(t *testing.T) {
	at := map[string]Look{}
	for mode := range 12 {
		for variant := range 9 {
			l := Look{Mode: mode, Variant: variant}
			name := fmt.Sprint(l.color(), fmt.Sprintf("%T", l.shape()), l.dash())
			if other, ok := at[name]; ok {
				t.Errorf("%+v looks like %+v", l, other)
			}
			at[name] = l
			if l.color() != (Look{Mode: mode}).color() {
				t.Errorf("%+v has a colour of its own", l)
			}
		}
	}
	if base := (Look{Baseline: true, Mode: 3}); base.color() != grey() {
		t.Errorf("the baseline is %v", base.color())
	}
	for i := range 8 {
		for j := range i {
			if partColor(i) == partColor(j) {
				t.Errorf("parts %d and %d share a colour", i, j)
			}
		}
	}
}
