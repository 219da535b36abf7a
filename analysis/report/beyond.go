package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"viplab/analysis/plots"
	"viplab/analysis/simulate"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/results"
	"viplab/results/published"
)

// fitUpTo is the largest size that the held-out check fits on.
const fitUpTo = 5000

// beyond is how many times the largest measured size is simulated.
const beyond = 4

// simulated holds what a report says from simulation: the held-out check, and
// points beyond what was measured.
type simulated struct {
	check    *table
	sentence string
	points   map[string]plots.Series // by picture, panel and mode
}

// simulation calibrates with the run itself. A run that does not carry a
// calibration has none of it; that is no error of the report.
func simulation(known []modes.Mode, run *results.Run, s *summary.Summary) simulated {
	var out simulated
	sizes := s.Sizes()
	if len(sizes) == 0 || len(s.Levels(results.RunName)) > 0 {
		return out
	}
	if checks, median, err := simulate.HeldOut(known, run, s, fitUpTo); err == nil && len(checks) > 0 {
		rows := simulate.CheckRows(checks)
		out.check = plain("Simulated against measured, on sizes that the simulation was not fitted to", rows)
		out.sentence = simulate.CheckSentence(checks, median, fitUpTo)
	}
	c, err := simulate.Calibrate(known, run, s, 0)
	if err != nil {
		return out
	}
	out.points = map[string]plots.Series{}
	spec := c.Spec
	spec.Services = min(beyond*sizes[len(sizes)-1], synth.MaxServices)
	for _, one := range s.Series() {
		i := slices.IndexFunc(known, func(m modes.Mode) bool { return m.Name == one.Mode })
		if i < 0 || one.Label != one.Mode {
			continue
		}
		if p, err := c.Predict(known[i], nil, spec); err == nil {
			out.add(p, plots.LookOf(one))
		}
	}
	return out
}

func (o *simulated) add(p simulate.Prediction, look plots.Look) {
	put := func(where string, v float64) {
		if v > 0 && !math.IsNaN(v) {
			o.points[where+" "+p.Mode] = plots.Series{Look: look, Label: "simulated", Of: p.Mode, Source: plots.Simulated,
				Points: []plots.Point{{X: float64(p.Services), Y: v, Lo: v, Hi: v}}}
		}
	}
	put("sync-full", p.Costs[modes.FullSync])
	put("sync-delta one Service added", p.Costs[modes.ServiceAdd])
	put("sync-delta one endpoint added", p.Costs[modes.EndpointAdd])
	put("first-packet last Service", p.FirstPacket.P99)
}

// extend adds the simulated points to a picture.
func (o *simulated) extend(d plots.Drawing, s *summary.Summary) plots.Drawing {
	p, ok := d.(plots.Picture)
	if !ok || len(o.points) == 0 {
		return d
	}
	p.Panels = slices.Clone(p.Panels)
	for i, panel := range p.Panels {
		name := p.Name
		if panel.Title != "" {
			name += " " + panel.Title
		}
		series := slices.Clone(panel.Series)
		for _, one := range s.Series() {
			if extra, ok := o.points[name+" "+one.Mode]; ok && one.Label == one.Mode {
				series = append(series, extra)
			}
		}
		p.Panels[i].Series = series
	}
	return p
}

// besidePublished is first packets over all Services beside what others published
// of them, empty if the run has none.
func besidePublished(s *summary.Summary) (plots.Picture, error) {
	scale := results.Seconds.In("µs") // of what was published
	p := plots.Picture{
		Name: "published", Title: "First packet over all Services, beside published figures (hardware differs)",
		YLabel: "TCP connect", Unit: results.Seconds, LogY: true,
	}
	points, err := published.Points()
	if err != nil {
		return p, err
	}
	series := s.Series()
	for _, percent := range []float64{50, 99} {
		panel := plots.Panel{Title: fmt.Sprintf("p%g", percent)}
		for _, one := range series {
			panel.Series = append(panel.Series, percentileLine(s, one, percent))
		}
		panel.Series = append(panel.Series, publishedLines(series, published.Of(points, "R1", ""), fmt.Sprintf("_p%g", percent), scale.Scale)...)
		p.Panels = append(p.Panels, panel)
	}
	return p, nil
}

// percentileLine is a percentile of one series' first packets to random Services.
func percentileLine(s *summary.Summary, one summary.Series, percent float64) plots.Series {
	line := plots.Series{Look: plots.LookOf(one), Label: one.Label}
	at := summary.With(nil, results.Position, "random", results.Protocol, "tcp", results.From, "client")
	for _, c := range s.BySize(one, results.FirstPacket, at) {
		q := c.Percentile(percent)
		if q == nil {
			continue
		}
		pt := plots.Point{X: float64(c.Services()), Y: q.Value, Lo: q.Value, Hi: q.Value}
		if q.Interval {
			pt.Lo, pt.Hi = q.Lo, q.Hi
		}
		line.Points = append(line.Points, pt)
	}
	return line
}

// publishedLines are the published series whose names end in a suffix. One of a mode that
// the run has looks like it; others come after all of the run's.
func publishedLines(series []summary.Series, points []published.Point, suffix string, scale float64) []plots.Series {
	var out []plots.Series
	at := map[string]int{}
	next := 0
	for _, one := range series {
		next = max(next, one.Place+1)
	}
	for _, pt := range points {
		name, ok := strings.CutSuffix(pt.Series, suffix)
		if !ok {
			continue
		}
		if _, ok := at[name]; !ok {
			look := plots.Look{Mode: next}
			if i := slices.IndexFunc(series, func(one summary.Series) bool { return one.Mode == name }); i >= 0 {
				look = plots.LookOf(series[i])
			} else {
				next++
			}
			at[name] = len(out)
			out = append(out, plots.Series{Look: look, Source: plots.Published, Label: name + ", published (" + pt.Provenance + ")"})
		}
		line := &out[at[name]]
		line.Points = append(line.Points, plots.Point{X: pt.X, Y: pt.Y * scale, Lo: pt.Y * scale, Hi: pt.Y * scale})
	}
	return out
}

// measured tells whether a picture has any measured point.
func measured(p plots.Picture) bool {
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			if s.Source == plots.Measured && len(s.Points) > 0 {
				return true
			}
		}
	}
	return false
}
