package report

import (
	"fmt"
	"math"
	"slices"

	"viplab/analysis/plots"
	"viplab/analysis/simulate"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/modes/synth"
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
		out.check = &table{Title: "Simulated against measured, on sizes that the simulation was not fitted to", Head: rows[0], Rows: rows[1:]}
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
			out.add(p)
		}
	}
	return out
}

func (o *simulated) add(p simulate.Prediction) {
	put := func(where string, v, scale float64) {
		if v > 0 && !math.IsNaN(v) {
			o.points[where+" "+p.Mode] = plots.Series{Mode: p.Mode, Label: "simulated", Source: plots.Simulated,
				Points: []plots.Point{{X: float64(p.Services), Y: v * scale, Lo: v * scale, Hi: v * scale}}}
		}
	}
	put("sync-full", p.Costs[modes.FullSync], 1)
	put("sync-delta one Service added", p.Costs[modes.ServiceAdd], 1e3)
	put("sync-delta one endpoint added", p.Costs[modes.EndpointAdd], 1e3)
	put("first-packet last Service", p.FirstPacket.P99, 1e6)
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
	p := plots.Picture{Name: "published", Title: "First packet over all Services, beside published figures (hardware differs)", YLabel: "TCP connect, µs", LogY: true}
	points, err := published.Points()
	if err != nil {
		return p, err
	}
	for _, percent := range []float64{50, 99} {
		panel := plots.Panel{Title: fmt.Sprintf("p%g", percent)}
		for _, one := range s.Series() {
			line := plots.Series{Mode: one.Mode, Label: one.Label}
			for _, c := range s.Select(results.FirstPacket, one.With(nil, results.Position, "random", results.Protocol, "tcp", results.From, "client")) {
				if q := c.Percentile(percent); q != nil {
					pt := plots.Point{X: float64(c.Services()), Y: q.Value * 1e6, Lo: q.Value * 1e6, Hi: q.Value * 1e6}
					if q.Interval {
						pt.Lo, pt.Hi = q.Lo*1e6, q.Hi*1e6
					}
					line.Points = append(line.Points, pt)
				}
			}
			slices.SortFunc(line.Points, func(a, b plots.Point) int { return int(a.X - b.X) })
			panel.Series = append(panel.Series, line)
		}
		for _, kind := range [][2]string{{"iptables", "iptables"}, {"nftables", "other"}} {
			theirs := plots.Series{Mode: kind[1], Source: plots.Published, Label: kind[0] + ", published (P)"}
			for _, pt := range published.Of(points, "R1", fmt.Sprintf("%s_p%g", kind[0], percent)) {
				theirs.Points = append(theirs.Points, plots.Point{X: pt.X, Y: pt.Y, Lo: pt.Y, Hi: pt.Y})
			}
			panel.Series = append(panel.Series, theirs)
		}
		p.Panels = append(p.Panels, panel)
	}
	return p, nil
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
