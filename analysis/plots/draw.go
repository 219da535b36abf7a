package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"viplab/results"
)

// Series is one line.
type Series struct {
	Look  Look
	Label string // in the legend
	// Of is the label of the series that this one belongs to, if that is another.
	Of     string
	Source Source
	Points []Point
}

// Source is where the points of a series come from; they are never drawn alike.
type Source uint8

// Sources.
const (
	Measured  Source = iota // a line with marks and a band of intervals
	Published               // rings on a thin dashed line
	Simulated               // crosses without a line
	Memory                  // from memory: grey rings without a line
)

// Point is a median at a number of Services, with its interval (equal to the
// median where there is none).
type Point struct{ X, Y, Lo, Hi float64 }

// Panel is one plot of a picture.
type Panel struct {
	Title  string
	Series []Series
}

// Picture answers one question.
type Picture struct {
	Name   string // of the files
	Title  string // the question
	XLabel string // "Services" if empty
	YLabel string
	// Unit is that of values, which are in base units: ticks then carry the scaled unit
	// that fits. Without one, ticks are bare numbers.
	Unit   results.Unit
	LogY   bool
	Panels []Panel
	// Timeline has seconds on a linear x axis, and lines without marks.
	Timeline bool

	bare   bool    // without a legend, for a [Sheet]
	within *bounds // of all panels, for one of them alone
}

// Empty tells whether there is nothing to draw.
func (p Picture) Empty() bool {
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			if len(s.Points) > 0 {
				return false
			}
		}
	}
	return true
}

const (
	panelWidth = 4.2 * vg.Inch
	height     = 3.6 * vg.Inch
	titleRoom  = 0.35 * vg.Inch

	panelTitleRoom = 0.25 * vg.Inch
)

// Head gives the name of the files and the question.
func (p Picture) Head() (name, title string) { return p.Name, p.Title }

// size is the picture's size on paper.
func (p Picture) size() (w, h vg.Length) {
	wide := panelWidth * vg.Length(len(p.Panels))
	// One panel alone would be too narrow for the legend.
	w = max(wide, 1.4*panelWidth) + 0.6*vg.Inch
	if p.bare {
		return panelWidth, height
	}
	return w, height + p.legend(w).height() + titleRoom
}

func (p Picture) draw(dc draw.Canvas) error {
	if p.LogY && p.within == nil {
		p = p.clip()
	}
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	row := make([]*plot.Plot, len(p.Panels))
	for i, panel := range p.Panels {
		pl, err := p.panel(panel, i == 0)
		if err != nil {
			return err
		}
		row[i] = pl
	}
	p.shareAxes(row)
	top := draw.Crop(dc, 0, 0, dc.Size().Y-titleRoom, 0)
	style := row[0].Title.TextStyle
	style.Font.Size = vg.Points(13)
	style.Font.Variant = sans
	style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
	top.FillText(style, top.Center(), p.Title)
	var below vg.Length
	if !p.bare {
		legend := p.legend(dc.Size().X)
		below = legend.height()
		legend.draw(draw.Crop(dc, 0, 0, 0, below-dc.Size().Y))
	}
	above := titleRoom
	if !p.bare {
		above += panelTitleRoom
	}
	area := draw.Crop(dc, vg.Points(4), -vg.Points(8), below, -above)
	tiles := draw.Tiles{Rows: 1, Cols: len(row), PadX: vg.Points(10)}
	style.Font.Size = vg.Points(11)
	for i, c := range plot.Align([][]*plot.Plot{row}, tiles, area)[0] {
		row[i].Draw(c)
		// Titles of plots would stand at different heights: the library
		// aligns the data and lets titles follow.
		dc.FillText(style, vg.Point{X: c.Center().X, Y: area.Max.Y + panelTitleRoom/2}, p.Panels[i].Title)
	}
	return nil
}

// clip is the picture with interval bars that reach zero or below, which a logarithmic
// axis cannot show, ended at its lowest value.
func (p Picture) clip() Picture {
	lowest := math.Inf(1)
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			for _, pt := range s.Points {
				if lowest = min(lowest, pt.Y); pt.Lo > 0 {
					lowest = min(lowest, pt.Lo)
				}
			}
		}
	}
	p.Panels = slices.Clone(p.Panels)
	for i, panel := range p.Panels {
		p.Panels[i].Series = slices.Clone(panel.Series)
		for j, s := range panel.Series {
			points := slices.Clone(s.Points)
			for k := range points {
				points[k].Lo = max(points[k].Lo, lowest)
			}
			p.Panels[i].Series[j].Points = points
		}
	}
	return p
}

// panel makes one plot. Only the first has the label of the y axis.
func (p Picture) panel(panel Panel, first bool) (*plot.Plot, error) {
	pl := newPlot()
	pl.X.Label.Text = cmp.Or(p.XLabel, "Services")
	if p.Timeline {
		pl.X.Label.Text = "seconds"
	} else {
		pl.X.Scale, pl.X.Tick.Marker = plot.LogScale{}, decades{}
	}
	if first {
		pl.Y.Label.Text = p.YLabel
	}
	pl.Y.Tick.Marker = labelled{plot.DefaultTicks{}, p.Unit}
	if p.LogY {
		pl.Y.Scale, pl.Y.Tick.Marker = plot.LogScale{}, labelled{decades{}, p.Unit}
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xe0}, color.Gray{0xe0}
	pl.Add(grid)
	for _, s := range panel.Series {
		if len(s.Points) == 0 {
			continue
		}
		if err := addSeries(pl, s, !p.Timeline); err != nil {
			return nil, err
		}
	}
	return pl, nil
}

// points adapts a series to the plotters.
type points []Point

func (p points) Len() int                { return len(p) }
func (p points) XY(i int) (x, y float64) { return p[i].X, p[i].Y }

// addSeries adds a line, with marks and intervals if they are wanted.
func addSeries(pl *plot.Plot, s Series, marks bool) error {
	line, dots, err := plotter.NewLinePoints(points(s.Points))
	if err != nil {
		return err
	}
	line.LineStyle, dots.GlyphStyle = s.looks()
	if !marks {
		line.Width = vg.Points(1)
		pl.Add(line)
		return nil
	}
	switch s.Source {
	case Simulated, Memory:
		pl.Add(dots)
	case Published:
		pl.Add(line, dots)
	default:
		band, err := plotter.NewPolygon(outline(s.Points))
		if err != nil {
			return err
		}
		band.Color, band.LineStyle.Width = s.Look.faint(), 0
		pl.Add(band, line, dots)
	}
	return nil
}

// looks is how a series' line and marks look, in pictures and legends.
func (s Series) looks() (draw.LineStyle, draw.GlyphStyle) {
	line := draw.LineStyle{Color: s.Look.color(), Width: vg.Points(1.6), Dashes: s.Look.dash()}
	glyph := draw.GlyphStyle{Color: s.Look.color(), Shape: s.Look.shape(), Radius: vg.Points(3.2)}
	switch s.Source {
	case Published:
		line.Width, line.Dashes = vg.Points(0.9), []vg.Length{vg.Points(3), vg.Points(3)}
		glyph.Shape, glyph.Radius = draw.RingGlyph{}, vg.Points(4)
	case Simulated:
		line.Width = 0
		glyph.Shape, glyph.Radius = draw.PlusGlyph{}, vg.Points(5)
	case Memory:
		line.Width = 0
		glyph.Color, glyph.Shape, glyph.Radius = color.Gray{0xb0}, draw.RingGlyph{}, vg.Points(4)
	}
	return line, glyph
}

// outline goes along the upper ends of the intervals and back along the lower.
func outline(list []Point) plotter.XYs {
	var out plotter.XYs
	for _, p := range list {
		out = append(out, plotter.XY{X: p.X, Y: p.Hi})
	}
	for _, p := range slices.Backward(list) {
		out = append(out, plotter.XY{X: p.X, Y: p.Lo})
	}
	return out
}

// faint is the colour of a band, which lets what is below it through.
func (l Look) faint() color.Color {
	if l.key > 0 {
		return bandKey(l.key)
	}
	c := l.color()
	return color.NRGBA{c.R, c.G, c.B, 0x38}
}

// bounds are the ranges of both axes.
type bounds struct{ xmin, xmax, ymin, ymax float64 }

// bounds are those of all panels.
func (p Picture) bounds() bounds {
	b := bounds{math.Inf(1), 0, math.Inf(1), 0}
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			for _, pt := range s.Points {
				b.xmin, b.xmax = min(b.xmin, pt.X), max(b.xmax, pt.X)
				b.ymin, b.ymax = min(b.ymin, pt.Lo), max(b.ymax, pt.Hi)
			}
		}
	}
	return b
}

// shareAxes gives all panels the same ranges, so that they can be compared.
func (p Picture) shareAxes(row []*plot.Plot) {
	b := p.bounds()
	if p.within != nil {
		b = *p.within
	}
	if p.LogY {
		b.ymin, b.ymax = b.ymin/1.3, b.ymax*1.3
	} else {
		b.ymin, b.ymax = 0, b.ymax*1.08
	}
	for _, pl := range row {
		pl.X.Min, pl.X.Max = b.xmin/1.25, b.xmax*1.25
		if p.Timeline {
			pl.X.Min, pl.X.Max = 0, b.xmax
		}
		pl.Y.Min, pl.Y.Max = b.ymin, b.ymax
	}
}

// decades marks powers of ten, and 2 and 5 between where the range is short.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(lo, hi float64) []plot.Tick {
	var out []plot.Tick
	if lo <= 0 || hi <= lo {
		return nil
	}
	short := math.Log10(hi/lo) < 2.5
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for m := 1.0; m < 10; m++ {
			v := m * math.Pow(10, e)
			if v < lo || v > hi {
				continue
			}
			t := plot.Tick{Value: v}
			if m == 1 || short && (m == 2 || m == 5) {
				t.Label = tickLabel(v)
			}
			out = append(out, t)
		}
	}
	return out
}

func tickLabel(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}

// labelled writes the labels of another ticker's ticks in the scale of a unit that fits.
type labelled struct {
	plot.Ticker
	unit results.Unit
}

// Ticks implements plot.Ticker.
func (l labelled) Ticks(lo, hi float64) []plot.Tick {
	out := l.Ticker.Ticks(lo, hi)
	if l.unit == results.None {
		return out
	}
	for i, t := range out {
		if t.Label != "" {
			u := l.unit.For(t.Value)
			out[i].Label = strings.TrimSpace(fmt.Sprintf("%.3g", t.Value/u.Scale) + " " + u.Name)
			if t.Value == 0 {
				out[i].Label = "0"
			} else if t.Value/u.Scale >= 1e3 {
				out[i].Label = strings.TrimSpace(tickLabel(t.Value/u.Scale) + " " + u.Name)
			}
		}
	}
	return out
}

// sans is the variant of the font that all texts are in. Pages show it in a font of the
// reader's of the same widths.
const sans = "Sans"

// newPlot is a plot with our font.
func newPlot() *plot.Plot {
	pl := plot.New()
	for _, style := range []*text.Style{&pl.Title.TextStyle, &pl.X.Label.TextStyle, &pl.Y.Label.TextStyle, &pl.X.Tick.Label, &pl.Y.Tick.Label,
		&pl.Legend.TextStyle} {
		style.Font.Variant = sans
	}
	return pl
}
