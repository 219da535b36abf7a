package plots

import (
	"fmt"
	"slices"
	"strconv"

	"viplab/analysis/summary"
	"viplab/results"
)

// Questions are the pictures of a run; those without data are left out.
func Questions(s *summary.Summary) []Drawing {
	all := []Drawing{
		Picture{
			Name: "sync-delta", Title: "How long does one change take, on top of N Services?",
			YLabel: "time to commit, ms", LogY: true,
			Panels: each(s, results.SyncDelta, results.Change, 1e3,
				"service-add", "one Service added", "endpoint-add", "one endpoint added"),
		},
		Picture{
			Name: "sync-full", Title: "How long does programming all N Services take?",
			YLabel: "time to commit, s", LogY: true,
			Panels: []Panel{{Series: lines(s, results.SyncFull, nil, 1)}},
		},
		Picture{
			Name: "first-packet", Title: "How long does the first packet of a connection take, by the Service's position?",
			YLabel: "TCP connect, µs", LogY: true,
			Panels: each(s, results.FirstPacket, results.Position, 1e6,
				"first", "first Service", "middle", "middle Service", "last", "last Service"),
		},
		Picture{
			Name: "connections", Title: "How many new connections a second, to random Services?",
			YLabel: "connections a second, thousands",
			Panels: []Panel{{Series: lines(s, results.ConnectionsRate, nil, 1e-3)}},
		},
		Picture{
			Name: "throughput", Title: "How fast is bulk data (iperf3), by the Service's position?",
			YLabel: "Gbit/s",
			Panels: each(s, results.Throughput, results.Position, 1e-9,
				"first", "through the first Service", "last", "through the last Service"),
		},
		Picture{
			Name: "memory", Title: "How much memory does it take?",
			YLabel: "MB", LogY: true,
			Panels: []Panel{
				{Title: "proxy or tool, peak resident set", Series: slices.Concat(
					lines(s, results.ProxyPeakRSS, nil, 1e-6),
					lines(s, results.ToolPeakRSS, map[string]string{results.Change: "full"}, 1e-6, "userspace"))},
				{Title: "kernel, by difference", Series: lines(s, results.KernelMemory, nil, 1e-6)},
			},
		},
	}
	all = append(all, live(s),
		phases(s, "phases-full", "full", "What does programming everything spend its time on"),
		phases(s, "phases-delta", "service-add", "What does adding one Service spend its time on"))
	return slices.DeleteFunc(all, Drawing.Empty)
}

// live is the request rate over time beside full syncs, at the largest size, in
// the first round: one panel a series, since the lines would hide each other.
func live(s *summary.Summary) Picture {
	p := Picture{Name: "live", Timeline: true, YLabel: "answers a second"}
	sizes := s.Sizes()
	if len(sizes) == 0 {
		return p
	}
	n := sizes[len(sizes)-1]
	p.Title = fmt.Sprintf("What do clients see while all %d Services are written again and again?", n)
	for _, one := range s.Series() {
		c := s.One(results.TPS, one.With(nil, results.Services, strconv.Itoa(n)))
		if c == nil || len(c.Trials) == 0 {
			continue
		}
		line := Series{Mode: one.Mode, Label: one.Label}
		for i, v := range c.Values[:len(c.Values)/len(c.Trials)] {
			line.Points = append(line.Points, Point{X: float64(i) / 10, Y: v, Lo: v, Hi: v})
		}
		p.Panels = append(p.Panels, Panel{Title: one.Label, Series: []Series{line}})
	}
	return p
}

// each makes a panel for each level of a factor, given as level, title pairs.
// Of first packets, those over TCP from the client are drawn.
func each(s *summary.Summary, metric, factor string, scale float64, levels ...string) []Panel {
	var out []Panel
	for i := 0; i < len(levels); i += 2 {
		with := map[string]string{factor: levels[i]}
		if metric == results.FirstPacket {
			with[results.Protocol], with[results.From] = "tcp", "client"
		}
		out = append(out, Panel{Title: levels[i+1], Series: lines(s, metric, with, scale)})
	}
	return out
}

// lines makes one line a series.
func lines(s *summary.Summary, metric string, with map[string]string, scale float64, without ...string) []Series {
	var out []Series
	variants := map[string]int{}
	for _, one := range s.Series() {
		if slices.Contains(without, one.Mode) {
			continue
		}
		line := Series{Mode: one.Mode, Label: one.Label, Variant: variants[one.Mode]}
		variants[one.Mode]++
		for _, c := range s.Select(metric, one.With(with)) {
			if c.Median <= 0 {
				continue
			}
			p := Point{X: float64(c.Services()), Y: c.Median * scale, Lo: c.Median * scale, Hi: c.Median * scale}
			if c.Interval {
				p.Lo, p.Hi = c.Lo*scale, c.Hi*scale
			}
			line.Points = append(line.Points, p)
		}
		slices.SortFunc(line.Points, func(a, b Point) int { return int(a.X - b.X) })
		out = append(out, line)
	}
	return out
}
