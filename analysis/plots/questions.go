package plots

import (
	"fmt"
	"slices"
	"strconv"

	"viplab/analysis/summary"
	"viplab/results"
)

// line is what a panel shows of each series: a metric over the number of Services.
type line struct {
	panel  string // title
	metric string
	at     map[string]string
	// instead is the metric of series that do not have the first.
	instead   string
	insteadAt map[string]string
	// rare is set where most runs have none: then there is no panel.
	rare bool
}

// question is a picture of lines over the number of Services.
type question struct {
	name, title string
	axis        string // what is measured
	log         bool
	panels      []line
}

// questions lists what reports draw. A metric without a line here may be in a table; if
// it is nowhere, the report says so.
func questions() []question {
	tcp := summary.With(nil, results.Protocol, "tcp", results.From, "client")
	change := func(kind string) map[string]string { return summary.With(nil, results.Change, kind) }
	client, node := summary.With(nil, results.From, ""), summary.With(nil, results.From, "node")
	bulk := func(title, position string, from map[string]string, rare bool) line {
		return line{panel: title, metric: results.Throughput, at: summary.With(from, results.Position, position), rare: rare}
	}
	first := func(title, position string) line {
		return line{panel: title, metric: results.FirstPacket, at: summary.With(tcp, results.Position, position)}
	}
	return []question{
		{"sync-delta", "How long does one change take, on top of N Services?", "time to commit", true, []line{
			{panel: "one Service added", metric: results.SyncDelta, at: change("service-add")},
			{panel: "one endpoint added", metric: results.SyncDelta, at: change("endpoint-add")},
		}},
		{
			"sync-full", "How long does programming all N Services take?", "time to commit", true,
			[]line{{metric: results.SyncFull}},
		},
		{
			"first-packet", "How long does the first packet of a connection take, by the Service's position?", "TCP connect", true,
			[]line{first("first Service", "first"), first("middle Service", "middle"), first("last Service", "last")},
		},
		{
			"connections", "How many new connections a second, to random Services?", "connections a second", false,
			[]line{{metric: results.ConnectionsRate, at: client}, {panel: "from the node", metric: results.ConnectionsRate, at: node, rare: true}},
		},
		{"throughput", "How fast is bulk data (iperf3), by the Service's position?", "bulk data", false, []line{
			bulk("through the first Service", "first", client, false),
			bulk("through the last Service", "last", client, false),
			bulk("through the first Service, from the node", "first", node, true),
			bulk("through the last Service, from the node", "last", node, true),
		}},
		{"memory", "How much memory does it take?", "memory", true, []line{
			{panel: "proxy or tool, peak resident set", metric: results.ProxyPeakRSS, instead: results.ToolPeakRSS, insteadAt: change("full")},
			{panel: "kernel, by difference", metric: results.KernelMemory},
		}},
	}
}

// Questions are the pictures of a run; those without data are left out.
func Questions(s *summary.Summary) []Drawing {
	var all []Drawing
	for _, q := range questions() {
		all = append(all, q.picture(s))
	}
	all = append(all, live(s),
		phases(s, "phases-full", "full", "What does programming everything spend its time on"),
		phases(s, "phases-delta", "service-add", "What does adding one Service spend its time on"))
	return slices.DeleteFunc(all, Drawing.Empty)
}

func unitOf(metric string) results.Unit {
	m, _ := results.FindMetric(metric)
	return m.Unit
}

func (q question) picture(s *summary.Summary) Picture {
	p := Picture{Name: q.name, Title: q.title, YLabel: q.axis, Unit: unitOf(q.panels[0].metric), LogY: q.log}
	for _, l := range q.panels {
		panel := Panel{Title: l.panel}
		for _, one := range s.Series() {
			panel.Series = append(panel.Series, l.of(s, one))
		}
		if l.rare && (Picture{Panels: []Panel{panel}}).Empty() {
			continue
		}
		p.Panels = append(p.Panels, panel)
	}
	return p
}

// of is one series' line.
func (l line) of(s *summary.Summary, one summary.Series) Series {
	cells := s.BySize(one, l.metric, l.at)
	if len(cells) == 0 && l.instead != "" {
		cells = s.BySize(one, l.instead, l.insteadAt)
	}
	out := Series{Look: LookOf(one), Label: one.Label}
	for _, c := range cells {
		if c.Median <= 0 {
			continue
		}
		p := Point{X: float64(c.Services()), Y: c.Median, Lo: c.Median, Hi: c.Median}
		if c.Interval {
			p.Lo, p.Hi = c.Lo, c.Hi
		}
		out.Points = append(out.Points, p)
	}
	return out
}

// live is the request rate over time beside full syncs, at the largest size, in
// the first round: one panel a series, since the lines would hide each other.
func live(s *summary.Summary) Picture {
	p := Picture{Name: "live", Timeline: true, YLabel: "answers a second"}
	sizes := s.Served()
	if len(sizes) == 0 {
		return p
	}
	n := sizes[len(sizes)-1]
	p.Title = fmt.Sprintf("What do clients see while %s are written again and again?", summary.CountServices(n))
	for _, one := range s.Series() {
		// A scenario's answers have a picture of their own.
		c := s.One(one, results.TPS, map[string]string{results.Services: strconv.Itoa(n), results.ScenarioName: ""})
		if c == nil || len(c.Trials) == 0 {
			continue
		}
		line := Series{Look: LookOf(one), Label: one.Label}
		for i, v := range c.Values[:len(c.Values)/len(c.Trials)] {
			line.Points = append(line.Points, Point{X: float64(i) / 10, Y: v, Lo: v, Hi: v})
		}
		p.Panels = append(p.Panels, Panel{Title: one.Label + c.Client(), Series: []Series{line}})
	}
	return p
}
