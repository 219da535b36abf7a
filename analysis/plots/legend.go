package plots

import (
	"slices"

	"gonum.org/v1/plot"
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
}

// legend lays the picture's legend out for a width.
func (p Picture) legend(width vg.Length) legend {
	l := legend{style: plot.New().Legend.TextStyle}
	l.style.Font.Size = vg.Points(9)
	l.style.YAlign = draw.YCenter
	var seen []string
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
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
	if len(l.rows) == 0 {
		return leastLegend
	}
	return max(leastLegend, legendRow*vg.Length(l.rows[len(l.rows)-1]+1)+vg.Points(4))
}

// draw draws the legend into its part of the picture.
func (l legend) draw(c draw.Canvas) {
	x, row := c.Min.X, 0
	for i, s := range l.list {
		line, glyph := s.looks()
		if l.rows[i] != row {
			x, row = c.Min.X, l.rows[i]
		}
		y := c.Max.Y - c.Size().Y*(vg.Length(row)+0.5)/vg.Length(l.rows[len(l.rows)-1]+1)
		x += vg.Points(8)
		if line.Width > 0 {
			c.StrokeLine2(line, x, y, x+vg.Points(22), y)
		}
		c.DrawGlyph(glyph, vg.Point{X: x + vg.Points(11), Y: y})
		c.FillText(l.style, vg.Point{X: x + vg.Points(27), Y: y}, s.Label)
		x += l.room[i] - vg.Points(8)
	}
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
