package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"viplab/analysis/compare"
	"viplab/analysis/plots"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// page is the content of a report, before it becomes Markdown or HTML.
type page struct {
	Title    string
	Answer   []sentence // what the data support
	Missing  []string   // of what was asked for
	Asked    []string   // what was asked, where it ran
	Series   []seriesKey
	Sizes    []int
	Tables   []table
	Pictures []picture
	Method   []string
	Limits   []string
	Notes    []string // warnings about samples
	Failures []string
	Again    []string // commands that run it again
	Env      [][2]string
}

// seriesKey is a series that can be switched off in the page.
type seriesKey struct {
	Place int
	Label string
	look  plots.Look
}

type picture struct {
	Title, Name string
	// Main is set for what the first screen shows.
	Main bool
	plots.Sheet
}

// row is one quantity of the answer tables.
type row struct {
	label, metric string
	with          map[string]string
}

func rows() []row {
	change := func(c string) map[string]string { return summary.With(nil, results.Change, c) }
	from := func(where, pos, proto string) map[string]string {
		return summary.With(nil, results.Position, pos, results.Protocol, proto, results.From, where)
	}
	first := func(pos, proto string) map[string]string { return from("client", pos, proto) }
	at := func(pos string) map[string]string { return summary.With(nil, results.Position, pos) }
	// Here the factor is on what starts on the node alone, in modes that serve nobody else.
	client, node := summary.With(nil, results.From, ""), summary.With(nil, results.From, "node")
	return []row{
		{"full sync", results.SyncFull, nil},
		{"all rules, one call each", results.InstallSequential, nil},
		{"one rule more", results.RuleAppend, nil},
		{"add a Service", results.SyncDelta, change("service-add")},
		{"delete a Service", results.SyncDelta, change("service-delete")},
		{"add an endpoint", results.SyncDelta, change("endpoint-add")},
		{"delete an endpoint", results.SyncDelta, change("endpoint-delete")},
		{"first right answer of an added Service", results.FirstCorrect, summary.With(client, results.Change, "service-add")},
		{"first right answer of an added Service, from the node", results.FirstCorrect, summary.With(node, results.Change, "service-add")},
		{"first right answer by an added endpoint", results.FirstCorrect, summary.With(client, results.Change, "endpoint-add")},
		{"first right answer by an added endpoint, from the node", results.FirstCorrect, summary.With(node, results.Change, "endpoint-add")},
		{"first packet, first Service, TCP", results.FirstPacket, first("first", "tcp")},
		{"first packet, middle Service, TCP", results.FirstPacket, first("middle", "tcp")},
		{"first packet, last Service, TCP", results.FirstPacket, first("last", "tcp")},
		{"first packet, last Service, UDP", results.FirstPacket, first("last", "udp")},
		{"first packet, last Service, TCP, from the node", results.FirstPacket, from("node", "last", "tcp")},
		{"SYN sent from the node, last Service", results.NodeSend, at("last")},
		{"established flow, first Service, TCP", results.EstablishedPacket, first("first", "tcp")},
		{"established flow, last Service, TCP", results.EstablishedPacket, first("last", "tcp")},
		{"new connections", results.ConnectionsRate, client},
		{"new connections, from the node", results.ConnectionsRate, node},
		{"CPU a connection", results.ConnectionCPU, client},
		{"CPU a connection, from the node", results.ConnectionCPU, node},
		{"change until programmed, under churn", results.ChangeDelay, nil},
		{"full sync beside traffic", results.RefreshSeconds, nil},
		{"latency beside full syncs", results.LiveLatency, client},
		{"latency beside full syncs, from the node", results.LiveLatency, node},
		{"longest time without an answer", results.LiveStall, client},
		{"longest time without an answer, from the node", results.LiveStall, node},
		{"lost requests", results.LiveLost, client},
		{"lost requests, from the node", results.LiveLost, node},
		{"busiest endpoint over the mean", results.Evenness, client},
		{"busiest endpoint over the mean, from the node", results.Evenness, node},
		{"iperf3, first Service", results.Throughput, summary.With(client, results.Position, "first")},
		{"iperf3, last Service", results.Throughput, summary.With(client, results.Position, "last")},
		{"iperf3, first Service, from the node", results.Throughput, summary.With(node, results.Position, "first")},
		{"iperf3, last Service, from the node", results.Throughput, summary.With(node, results.Position, "last")},
		{"CPU of a full sync", results.CPUSeconds, map[string]string{results.Of: "sync", results.Change: "full"}},
		{"peak memory of the tool", results.ToolPeakRSS, change("full")},
		{"peak memory of the proxy", results.ProxyPeakRSS, nil},
		{"kernel memory", results.KernelMemory, nil},
	}
}

func compose(run *results.Run, known []modes.Mode, s *summary.Summary) *page {
	p := &page{Title: "Service data planes, measured", Failures: s.Failures}
	series := s.Series()
	p.Asked, p.Missing = asked(run, s, series), incomplete(run, s)
	sizes := s.Sizes()
	for _, n := range slices.Backward(sizes) {
		if t := sizeTable(s, series, n); len(t.Rows) > 0 {
			p.Tables = append(p.Tables, t)
		}
	}
	for i, one := range series {
		p.Series = append(p.Series, seriesKey{i, one.Label, plots.LookOf(one)})
	}
	p.Sizes = sizes
	more := []*table{givenUp(known, series), against(known, s, series), growth(s, series), spread(s, series), live(s, series)}
	served := s.Served()
	if len(served) > 0 {
		n := served[len(served)-1]
		more = append(more,
			kinds(s, series, n, "Kernel memory", results.KernelMemoryPart, nil),
			kinds(s, series, n, "CPU seconds a gigabit (iperf3, last Service, the whole machine)", results.GigabitCPU,
				summary.With(nil, results.Position, "last", results.From, "")),
			kinds(s, series, n, "CPU seconds a gigabit (iperf3, last Service, from the node, the whole machine)", results.GigabitCPU,
				summary.With(nil, results.Position, "last", results.From, "node")),
			relative(s, series, n))
	}
	more = append(more, machine(s), spent(s, series))
	for _, t := range more {
		if t != nil {
			p.Tables = append(p.Tables, *t)
		}
	}
	if len(served) > 0 {
		p.Answer = answer(s, series, served[len(served)-1])
	}
	p.Method, p.Limits = method(), limits(run, known, s)
	p.Notes = notes(run, s)
	p.Again = again(run)
	p.Env = environments(run)
	return p
}

func asked(run *results.Run, s *summary.Summary, series []summary.Series) []string {
	var sizes []string
	for _, n := range s.Sizes() {
		sizes = append(sizes, strconv.Itoa(n))
	}
	of := "of " + strings.Join(s.Levels(results.Endpoints), ", ") + " endpoints each"
	if in := s.Levels(results.Input); len(in) > 0 && in[0] != "" {
		of = "out of " + strings.Join(in, ", ")
	}
	out := []string{fmt.Sprintf("Asked: modes %s at %s Services %s, on identical topologies.", summary.Names(series), strings.Join(sizes, ", "), of)}
	if all := conditions(series); all != "" {
		out = append(out, "All of them with "+all+".")
	}
	for _, part := range run.All() {
		out = append(out, ran(part)...)
	}
	if notes, ok := run.Config["notes"].([]any); ok {
		for _, n := range notes {
			out = append(out, fmt.Sprintf("Changed: %v.", n))
		}
	}
	if run.Config["quick"] == true {
		out = append(out, "This was a quick run: too few samples for intervals. Look at orders of magnitude only.")
	}
	return append(out, grade(run, s), fmt.Sprintf("Trials: %d ended well, %d failed.", s.Trials, len(s.Failures)))
}

// ran says where and when a run took place.
func ran(part results.Part) (out []string) {
	name, e := "", part.Run.Env
	if part.Name != "" {
		name = " " + part.Name
	}
	if e.Testbed == "" {
		return []string{fmt.Sprintf("Ran%s: on a machine that is not known, since the run's environment is missing.", name)}
	}
	out = append(out, fmt.Sprintf("Ran%s: %s on testbed %s (kernel %s, %d CPU) of a machine with %d × %s, %s.",
		name, e.Time.Format("2006-01-02 15:04 UTC"), e.Testbed, e.Kernel, e.KernelCPUs, e.CPUs, e.CPU, e.OS))
	if e.Why != "" {
		out = append(out, fmt.Sprintf("Testbed%s: %s.", name, e.Why))
	}
	return out
}

// conditions is what all series have in common beside what the report says elsewhere.
func conditions(series []summary.Series) string {
	var variants []results.Variant
	for _, one := range series {
		variants = append(variants, one.Variant)
	}
	shared := results.Shared(variants)
	for _, said := range []string{results.Mode, results.Testbed, results.Endpoints, results.Input} {
		delete(shared, said)
	}
	if shared[results.Ports] == "1" {
		delete(shared, results.Ports)
	}
	return strings.ReplaceAll(shared.Key(), "/", ", ")
}

func sizeTable(s *summary.Summary, series []summary.Series, n int) table {
	t := table{Title: summary.CountServices(n), Services: n, Head: heads("median [95 % interval]", series)}
	for _, r := range rows() {
		var cells []*summary.Cell
		for _, one := range series {
			cells = append(cells, s.One(one, r.metric, summary.With(r.with, results.Services, strconv.Itoa(n))))
		}
		if entries, unit, ok := figures(r.metric, cells); ok {
			t.Rows = append(t.Rows, append(words(labelled(r.label, unit)), entries...))
		}
	}
	return t
}

// environments lists what is known of the machines of all runs: once what is the same in all,
// and by the run's name what is not.
func environments(run *results.Run) (out [][2]string) {
	parts := run.All()
	var names []string
	values := map[string][]string{}
	for i, part := range parts {
		for _, kv := range environment(part.Run.Env) {
			if values[kv[0]] == nil {
				names = append(names, kv[0])
				values[kv[0]] = make([]string, len(parts))
			}
			values[kv[0]][i] = kv[1]
		}
	}
	for _, name := range names {
		if all := values[name]; len(slices.Compact(slices.Clone(all))) == 1 {
			out = append(out, [2]string{name, all[0]})
			continue
		}
		for i, part := range parts {
			out = append(out, [2]string{name + ", " + part.Name, cmp.Or(values[name][i], "not known")})
		}
	}
	return out
}

// environment lists what is known of the machine.
func environment(e results.Env) [][2]string {
	out := [][2]string{
		{"host kernel", e.Host}, {"testbed kernel", e.Kernel}, {"clock of short times", cmp.Or(e.Clock, "kernel")}, {"CPU", fmt.Sprintf("%d × %s", e.CPUs, e.CPU)},
		{"memory", fmt.Sprintf("%.1f GB", float64(e.MemoryBytes)/1e9)}, {"system", e.OS}, {"Go", e.Go},
		{"viplab", e.Viplab}, {"load at start", fmt.Sprintf("%.2f", e.LoadAtStart)},
	}
	for _, m := range []map[string]string{e.Tools, e.Sysctls} {
		for _, k := range sortedKeys(m) {
			out = append(out, [2]string{k, m[k]})
		}
	}
	if len(e.Unknown) > 0 {
		out = append(out, [2]string{"could not be learnt", strings.Join(e.Unknown, ", ")})
	}
	return out
}

// notes gathers the warnings of samples, each once with how often it occurred.
func notes(run *results.Run, s *summary.Summary) []string {
	out := slices.Concat(run.Warnings, s.Residue)
	if c, err := compare.Halves(run); err != nil {
		out = append(out, fmt.Sprintf("A/A: even and odd rounds cannot be compared: %v.", err))
	} else if c != nil {
		out = append(out, fmt.Sprintf("A/A: of %d cells %d (%.1f %%) differ between even and odd rounds, where nothing "+
			"changed; %.0f %% would by chance.",
			len(c.Rows), c.Significant(), 100*float64(c.Significant())/float64(len(c.Rows)), 100*compare.Alpha))
	}
	for _, t := range s.SetAside {
		out = append(out, "Samples set aside, trial "+t)
	}
	if w := summary.Warmup(run.Records); w != "" {
		out = append(out, w)
	}
	count := map[string]int{}
	var order []string
	for _, c := range s.Cells {
		for _, w := range c.Warnings {
			if count[w]++; count[w] == 1 {
				order = append(order, w)
			}
		}
	}
	for _, w := range order {
		out = append(out, fmt.Sprintf("%d of %d cells: %s", count[w], len(s.Cells), w))
	}
	return out
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
