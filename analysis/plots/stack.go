package plots

import (
	"image/color"
	"slices"
	"strconv"

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
	Bars                []string // labels
	Parts               []Part
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
	return 8 * vg.Inch, vg.Length(1.6+0.4*float64(len(s.Bars))) * vg.Inch
}

// partColors are shades that neighbours can be told apart by.
func partColors() []color.Color {
	return []color.Color{
		color.RGBA{0x56, 0xb4, 0xe9, 255}, color.RGBA{0xe6, 0x9f, 0x00, 255}, color.RGBA{0x00, 0x9e, 0x73, 255},
		color.RGBA{0xd5, 0x5e, 0x00, 255}, color.RGBA{0x99, 0x99, 0x99, 255},
	}
}

func (s Stack) draw(dc draw.Canvas) error {
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	pl := plot.New()
	pl.Title.Text, pl.X.Label.Text = s.Title, s.XLabel
	pl.Title.Padding = vg.Points(6)
	pl.Legend.Top, pl.Legend.YOffs = true, vg.Points(0)
	var below *plotter.BarChart
	for i, part := range s.Parts {
		bars, err := plotter.NewBarChart(plotter.Values(part.Lengths), vg.Points(16))
		if err != nil {
			return err
		}
		bars.Horizontal, bars.Color, bars.LineStyle.Width = true, partColors()[i%len(partColors())], 0
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		pl.Add(bars)
		pl.Legend.Add(part.Label, bars)
	}
	pl.NominalY(s.Bars...)
	pl.X.Min = 0
	pl.X.Max *= 1.25 // room for the legend
	pl.Draw(draw.Crop(dc, vg.Points(4), -vg.Points(8), vg.Points(4), -vg.Points(4)))
	return nil
}

// phases shows what a sync at the largest size spends its time on. change is a
// change, or "full".
func phases(s *summary.Summary, name, change, title string) Stack {
	out := Stack{Name: name, XLabel: "median, ms"}
	sizes := s.Sizes()
	if len(sizes) == 0 {
		return out
	}
	n := strconv.Itoa(sizes[len(sizes)-1])
	out.Title = title + ", at " + n + " Services?"
	list := s.Series()
	slices.Reverse(list) // the first bar is drawn at the bottom
	for _, phase := range []string{"read-back", "plan", "start", "encode", "commit", "rest"} {
		out.Parts = append(out.Parts, Part{Label: phase})
	}
	for _, one := range list {
		lengths, some := make([]float64, len(out.Parts)), false
		for i := range out.Parts {
			c := s.One(results.SyncPhase, one.With(nil, results.Services, n, results.Change, change, results.Phase, out.Parts[i].Label))
			if c != nil {
				lengths[i], some = c.Median*1e3, true
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
