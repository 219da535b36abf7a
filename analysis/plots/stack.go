package plots

import (
	"cmp"
	"image/color"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"viplab/analysis/summary"
	"viplab/results"
)

// Stack is a picture of bars: one bar a series, divided into parts.
type Stack struct {
	Name, Title, XLabel string
	// Unit is that of lengths, which are in base units.
	Unit  results.Unit
	Bars  []string // labels
	Parts []Part

	keyed bool // for a [Sheet]
}

// Part is one colour of the bars, with a length for each of them.
type Part struct {
	Label   string
	Lengths []float64
}

// Head gives the name of the files and the question.
func (s Stack) Head() (name, title string) { return s.Name, s.Title }

// Empty tells whether there is nothing to draw.
func (s Stack) Empty() bool { return len(s.Bars) == 0 || len(s.Parts) == 0 }

func (s Stack) size() (w, h vg.Length) {
	if s.keyed {
		return 5 * vg.Inch, vg.Length(1.2+0.35*float64(len(s.Bars))) * vg.Inch
	}
	return 8 * vg.Inch, vg.Length(1.6+0.4*float64(len(s.Bars))) * vg.Inch
}

func (s Stack) draw(dc draw.Canvas) error {
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	pl := newPlot()
	pl.X.Label.Text, pl.X.Tick.Marker = s.XLabel, labelled{plot.DefaultTicks{}, s.Unit}
	if !s.keyed {
		pl.Title.Text = s.Title
	}
	pl.Title.Padding = vg.Points(6)
	pl.Legend.Top, pl.Legend.Padding, pl.Legend.ThumbnailWidth = true, vg.Points(5), vg.Points(14)
	pl.Legend.TextStyle.Font.Size, pl.Y.Tick.Label.Font.Size = vg.Points(9), vg.Points(9)
	var below *plotter.BarChart
	for i, part := range s.Parts {
		bars, err := plotter.NewBarChart(plotter.Values(part.Lengths), vg.Points(16))
		if err != nil {
			return err
		}
		bars.Horizontal, bars.Color, bars.LineStyle.Width = true, partColor(i), 0
		if s.keyed {
			bars.Color = partKey(i)
		}
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		pl.Add(bars)
		pl.Legend.Add(part.Label, bars)
	}
	if err := s.label(pl); err != nil {
		return err
	}
	pl.NominalY(s.Bars...)
	pl.Y.Padding = vg.Points(24) // browsers without the font take a wider one
	pl.X.Min = 0
	pl.X.Max *= 1.35 // room for the labels and the legend
	if s.keyed {
		pl.X.Max *= 1.2
	}
	pl.Draw(draw.Crop(dc, vg.Points(14), -vg.Points(8), vg.Points(4), -vg.Points(4)))
	return nil
}

// label writes the length of each bar behind it, so that one too short to be seen can be
// read.
func (s Stack) label(pl *plot.Plot) error {
	var at plotter.XYLabels
	for i := range s.Bars {
		total := 0.0
		for _, part := range s.Parts {
			total += part.Lengths[i]
		}
		u := s.Unit.For(total)
		at.XYs = append(at.XYs, plotter.XY{X: total, Y: float64(i)})
		at.Labels = append(at.Labels, strings.TrimSpace(summary.Number(total/u.Scale)+" "+u.Name))
	}
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return err
	}
	labels.Offset = vg.Point{X: vg.Points(4), Y: -vg.Points(3)}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font.Variant, labels.TextStyle[i].Font.Size = sans, vg.Points(9)
	}
	pl.Add(labels)
	return nil
}

// phaseOrder is the order in which a sync passes through its phases; others follow.
func phaseOrder() []string {
	return []string{"read-back", "plan", "start", "encode", "commit", "clean-up", "rest"}
}

// phases shows what a sync at the largest size spends its time on. change is a
// change, or "full".
func phases(s *summary.Summary, name, change, title string) Stack {
	out := Stack{Name: name, XLabel: "median", Unit: unitOf(results.SyncPhase)}
	sizes := s.Served()
	if len(sizes) == 0 {
		return out
	}
	largest := sizes[len(sizes)-1]
	n := strconv.Itoa(largest)
	out.Title = title + ", at " + summary.CountServices(largest) + "?"
	list := s.Series()
	slices.Reverse(list) // the first bar is drawn at the bottom
	for _, phase := range ordered(s.LevelsOf(results.SyncPhase, results.Phase), phaseOrder()) {
		out.Parts = append(out.Parts, Part{Label: phase})
	}
	for _, one := range list {
		lengths, some := make([]float64, len(out.Parts)), false
		for i, part := range out.Parts {
			c := s.One(one, results.SyncPhase, summary.With(nil, results.Services, n, results.Change, change, results.Phase, part.Label))
			if c != nil {
				lengths[i], some = c.Median, true
			}
		}
		if !some {
			continue
		}
		out.Bars = append(out.Bars, one.Label)
		for i := range out.Parts {
			out.Parts[i].Lengths = append(out.Parts[i].Lengths, lengths[i])
		}
	}
	return out
}

// ordered sorts names by their place in an order; those that have none follow by name.
func ordered(names, order []string) []string {
	place := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(place(a)-place(b), strings.Compare(a, b)) })
	return names
}
