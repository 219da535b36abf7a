package plots

import (
	"slices"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	leastLegend = 0.5 * vg.Inch
	legendRow   = 0.17 * vg.Inch
)

// legend is every label once, with its place below the panels.
type legend struct {
	style text.Style
	list  []Series
	room  []vg.Length // of each entry
	rows  []int       // of each entry
	notes []string    // a line each, below
}

// legend lays the picture's legend out for a width.
func (p Picture) legend(width vg.Length) legend {
	l := legend{style: newPlot().Legend.TextStyle, notes: p.notes()}
	l.style.Font.Size = vg.Points(9)
	l.style.YAlign = draw.YCenter
	var seen []string
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			if s.Source == Simulated {
				continue // in a series' own colour: notes say what it is
			}
			if len(s.Points) > 0 && !slices.Contains(seen, s.Label) {
				seen, l.list = append(seen, s.Label), append(l.list, s)
				l.room = append(l.room, l.style.Width(s.Label)+vg.Points(48))
			}
		}
	}
	l.rows = legendRows(l.room, width)
	return l
}

// height is what the legend needs.
func (l legend) height() vg.Length {
	return max(leastLegend, legendRow*vg.Length(l.lines())+vg.Points(4))
}

// lines is how many rows entries and notes take.
func (l legend) lines() int {
	n := len(l.notes)
	if len(l.rows) > 0 {
		n += l.rows[len(l.rows)-1] + 1
	}
	return n
}

// draw draws the legend into its part of the picture.
func (l legend) draw(c draw.Canvas) {
	x, row := c.Min.X, 0
	line := func(i int) vg.Length { return c.Max.Y - c.Size().Y*(vg.Length(i)+0.5)/vg.Length(l.lines()) }
	for i, n := range l.notes {
		c.FillText(l.style, vg.Point{X: x + vg.Points(8), Y: line(l.lines() - len(l.notes) + i)}, n)
	}
	for i, s := range l.list {
		stroke, glyph := s.looks()
		if l.rows[i] != row {
			x, row = c.Min.X, l.rows[i]
		}
		y := line(row)
		x += vg.Points(8)
		if stroke.Width > 0 {
			c.StrokeLine2(stroke, x, y, x+vg.Points(22), y)
		}
		c.DrawGlyph(glyph, vg.Point{X: x + vg.Points(11), Y: y})
		c.FillText(l.style, vg.Point{X: x + vg.Points(27), Y: y}, s.Label)
		x += l.room[i] - vg.Points(8)
	}
}

// notes say what is drawn beside lines.
func (p Picture) notes() []string {
	var bands, crosses, foreign bool
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			for _, pt := range s.Points {
				bands = bands || s.Source == Measured && pt.Lo < pt.Hi
			}
			crosses = crosses || s.Source == Simulated && len(s.Points) > 0
			foreign = foreign || s.Source == Published && len(s.Points) > 0
		}
	}
	var out []string
	for _, n := range []struct {
		is   bool
		text string
	}{
		{bands, "Bands are 95 % intervals of the median."},
		{crosses, "Plus signs are simulated, in the colour of their mode."},
		{foreign, "Rings are published figures: (S) read in a source, (P) read off a plot, (D) derived from such, (M) from memory."},
	} {
		if n.is {
			out = append(out, n.text)
		}
	}
	return out
}

// legendRows puts entries of a legend into as few rows as have room for them.
func legendRows(room []vg.Length, width vg.Length) []int {
	out := make([]int, len(room))
	used, row := vg.Length(0), 0
	for i, w := range room {
		if used+w > width && used > 0 {
			used, row = 0, row+1
		}
		used += w
		out[i] = row
	}
	return out
}
