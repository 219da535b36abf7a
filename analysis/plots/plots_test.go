package plots

import (
	"bytes"
	"testing"
)

func picture(points ...Point) Picture {
	return Picture{Name: "x", Title: "x", YLabel: "y", LogY: true,
		Panels: []Panel{{Title: "a", Series: []Series{{Look: Look{Mode: 3}, Label: "ipvs", Points: points}}}, {Title: "empty"}}}
}

// TestOddData: intervals that reach below zero on a logarithmic axis, a single
// size, values that are all the same, a mode that is not known.
func TestOddData(t *testing.T) {
	odd := picture(Point{1, 3, -2, 5}, Point{100, 9, 0, 12})
	odd.Panels[0].Series = append(odd.Panels[0].Series, Series{Label: "other", Look: Look{Mode: 12, Variant: 7}, Points: []Point{{10, 4, 4, 4}}})
	for name, p := range map[string]Drawing{"below zero": odd, "one": picture(Point{1000, 5, 5, 5}), "same": picture(Point{1, 5, 5, 5}, Point{2, 5, 5, 5}),
		"bars": Stack{Name: "b", Title: "b", Bars: []string{"x", "y"}, Parts: []Part{{"p", []float64{1, 2}}, {"q", []float64{0, 3}}}}} {
		svg, err := SVG(p)
		if err != nil || !bytes.Contains(svg, []byte("<svg")) {
			t.Errorf("%s: %v", name, err)
		}
		png, err := PNG(p)
		if err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !picture().Empty() || picture(Point{1, 1, 1, 1}).Empty() {
		t.Error("Empty is wrong")
	}
	if _, err := SVG(picture(Point{-1, 1, 1, 1})); err == nil {
		t.Error("a point that no axis can show is no error")
	}
}

// TestClipCopies: what a logarithmic axis cannot show is in the picture's data nevertheless.
func TestClipCopies(t *testing.T) {
	p := Picture{Panels: []Panel{{Series: []Series{{Points: []Point{{X: 1, Y: 5, Lo: -8, Hi: 9}, {X: 2, Y: 7, Lo: 6, Hi: 8}}}}}}}
	if c := p.clip(); c.Panels[0].Series[0].Points[0].Lo != 5 || p.Panels[0].Series[0].Points[0].Lo != -8 {
		t.Errorf("clipped %+v, data %+v", c, p)
	}
}
