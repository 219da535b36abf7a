package summary

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"viplab/results"
)

func record(metric, mode string, values ...float64) results.Record {
	return results.Record{Metric: metric, Variant: results.Variant{results.Mode: mode}, Factors: map[string]string{results.Services: "100"}, Values: values}
}

func numbers(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i + 1)
	}
	return out
}

func TestMake(t *testing.T) {
	s, err := Make([]results.Record{
		record(results.SyncFull, "a", 3, 1), record(results.SyncFull, "a", 2, 5, 4, 6),
		record(results.FirstPacket, "a", numbers(100)...), record(results.FirstPacket, "b", numbers(99)...),
		record(results.SyncFull, "b", 1),
		{Metric: results.Done, Trial: "x", Err: "broke"}, {Metric: results.Done, Trial: "y"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := s.Only(results.SyncFull, map[string]string{results.Mode: "a"})
	// Six samples are the least for a 95 % interval, which is then the range.
	if a == nil || a.N != 6 || a.Median != 3.5 || !a.Interval || a.Lo != 1 || a.Hi != 6 {
		t.Errorf("a: %+v", a)
	}
	if b := s.Only(results.SyncFull, map[string]string{results.Mode: "b"}); b.Interval || len(b.Warnings) == 0 || math.IsInf(b.Lo, 0) {
		t.Errorf("one sample: %+v", b)
	}
	if p := s.Only(results.FirstPacket, map[string]string{results.Mode: "a"}); p.Percentile(99).Value != 99 || p.Percentile(90).Value != 90 || p.Percentile(99).Interval || !p.Percentile(90).Interval {
		t.Errorf("100 samples: %+v", p)
	}
	if p := s.Only(results.FirstPacket, map[string]string{results.Mode: "b"}); p.Percentile(99) != nil {
		t.Error("a p99 from 99 samples")
	}
	if len(s.Failures) != 1 || s.Trials != 1 || len(s.Select(results.SyncFull, nil)) != 2 || s.Only(results.SyncFull, nil) != nil {
		t.Errorf("%+v", s)
	}
}

func TestText(t *testing.T) {
	for want, c := range map[string]*Cell{
		"12.3 ms":     {Metric: results.SyncFull, Median: 0.0123},
		"> 2.00 s":    {Metric: results.SyncFull, Median: 2, Over: true},
		"5.50 Gbit/s": {Metric: results.Throughput, Median: 5.5e9},
		"1234 /s":     {Metric: results.ConnectionsRate, Median: 1234},
		"45.0 MB":     {Metric: results.ProxyRSS, Median: 45e6},
		"740 µs":      {Metric: results.ConnectionCPU, Median: 0.00074},
		"17":          {Metric: results.Objects, Median: 17},
		"-":           nil,
	} {
		if got := c.Text(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestWriteBench reads back with the reader that benchstat uses.
func TestWriteBench(t *testing.T) {
	s, err := Make([]results.Record{
		record(results.SyncDelta, "ipvs", 0.001, 0.002), record(results.Throughput, "ipvs", 5e9),
		{Metric: results.Objects, Factors: map[string]string{results.Of: "tool calls"}, Values: []float64{3}},
		record(results.ConnectionCPU, "ipvs", 1e-4),
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteBench(&b, results.Env{Kernel: "Linux 6.1", Testbed: "uml", CPU: "x"}); err != nil {
		t.Fatal(err)
	}
	r := benchfmt.NewReader(&b, "bench.txt")
	got := map[string]int{}
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			v := rec.Values[0]
			got[string(rec.Name)+" "+v.Unit]++
			if rec.GetConfig("testbed") != "uml" {
				t.Error("the testbed is lost")
			}
		case *benchfmt.SyntaxError:
			t.Error(rec)
		}
	}
	for want, n := range map[string]int{
		"SyncDelta/mode=ipvs/services=100 sec/op": 2, "Throughput/mode=ipvs/services=100 bits/s": 1,
		"Objects/of=tool-calls count": 1, "ConnectionCpu/mode=ipvs/services=100 sec/op": 1,
	} {
		if got[want] != n {
			t.Errorf("%s: %d lines, want %d, of %v", want, got[want], n, got)
		}
	}
}

// TestPercentileCoverage: the interval of a percentile holds the true one at
// least 95 times in 100.
func TestPercentileCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const runs, n = 1000, 400
	hits := map[float64]int{}
	for range runs {
		values := make([]float64, n)
		for i := range values {
			values[i] = rng.Float64() // percentile p is p/100
		}
		ps, err := percentiles(values)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			if p.Interval && p.Lo <= p.P/100 && p.P/100 <= p.Hi {
				hits[p.P]++
			}
		}
	}
	for _, p := range Percents() {
		if share := float64(hits[p]) / runs; share < 0.93 || share > 0.995 {
			t.Errorf("the interval of p%g holds it in %.3f of the runs", p, share)
		}
	}
	if _, _, ok := ranks(100, 0.99); ok {
		t.Error("an interval of p99 from 100 samples")
	}
}

// TestFailedTrial: what a trial measured before it failed is named, and in no cell; that a
// limit cut something off in it still counts.
func TestFailedTrial(t *testing.T) {
	over := record(results.InstallSequential, "a", 30)
	over.Over = true
	records := []results.Record{record(results.SyncFull, "a", 5), record(results.MachineStep, "a", 1e-9), over, record(results.MachineStep, "b", 1e-9), record(results.SyncFull, "c", 7)}
	var all []results.Record
	for _, r := range records {
		r.Trial = r.Variant.Mode()
		all = append(all, r)
	}
	s, err := Make(append(all, results.Record{Metric: results.Done, Trial: "a", Err: "no answer"},
		results.Record{Metric: results.Done, Trial: "b", Err: "no room", Mark: "clock stepped"}, results.Record{Metric: results.Done, Trial: "c"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Cells) != 2 || s.Cells[0].Metric != results.InstallSequential || !s.Cells[0].Over || s.Cells[1].Median != 7 {
		t.Errorf("cells: %+v", s.Cells)
	}
	if !slices.Equal(s.SetAside, []string{"a: it failed"}) || len(s.Failures) != 2 || s.Trials != 1 {
		t.Errorf("set aside %q, failures %q, %d trials", s.SetAside, s.Failures, s.Trials)
	}
}

// TestSetAside: samples of a trial whose surroundings void them are named, not
// mixed in; facts that differ between rounds are named too.
func TestSetAside(t *testing.T) {
	good, bad := record(results.SyncFull, "a", 1), record(results.SyncFull, "a", 100)
	good.Trial, bad.Trial = "good", "bad"
	s, err := Make([]results.Record{
		{Metric: results.Environment, Factors: map[string]string{"kernel": "6.1", "CPU": "x"}}, good, {Metric: results.Done, Trial: "good"},
		{Metric: results.Environment, Factors: map[string]string{"kernel": "6.2", "CPU": "x"}}, bad, {Metric: results.Done, Trial: "bad", Mark: "clock stepped"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Only(results.SyncFull, nil); c == nil || c.N != 1 || c.Median != 1 || s.Trials != 1 {
		t.Errorf("%+v", c)
	}
	if len(s.SetAside) != 1 || !strings.Contains(s.SetAside[0], "bad: clock stepped") || len(s.Residue) != 1 || !strings.Contains(s.Residue[0], "6.1; 6.2") {
		t.Errorf("set aside %q, residue %q", s.SetAside, s.Residue)
	}
}

// TestByRounds: samples of one round that resemble each other do not make the
// interval narrow.
func TestByRounds(t *testing.T) {
	var records []results.Record
	for round := range 8 {
		values := make([]float64, 100)
		for i := range values {
			values[i] = float64(round) + float64(i)/1000
		}
		r := record(results.FirstPacket, "a", values...)
		r.Round = round
		records = append(records, r)
	}
	s, err := Make(records)
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Cells[0]; !c.ByRounds || c.Hi-c.Lo < 5 {
		t.Errorf("interval [%g, %g]", c.Lo, c.Hi)
	}
}

// TestRepeatsOfFewRounds: what is made a few times within a trial is no sample of its own, so
// that it depends on the rounds whether there is an interval, and not on the repeats.
func TestRepeatsOfFewRounds(t *testing.T) {
	for _, test := range []struct {
		rounds, each       int
		interval, byRounds bool
	}{{1, 5, false, false}, {2, 5, false, false}, {5, 3, false, false}, {6, 5, true, true}, {6, 1, true, false}, {2, 40, true, false}} {
		var records []results.Record
		for round := range test.rounds {
			r := record(results.SyncDelta, "a", numbers(test.each)...)
			r.Round = round
			records = append(records, r)
		}
		s, err := Make(records)
		if err != nil {
			t.Fatal(err)
		}
		c := s.Cells[0]
		if c.Interval != test.interval || c.ByRounds != test.byRounds || !c.Interval && (c.Lo != 0 || c.Hi != 0 || len(c.Warnings) != 1) {
			t.Errorf("%d rounds of %d: interval %v [%g, %g], by rounds %v, warnings %v", test.rounds, test.each, c.Interval, c.Lo, c.Hi, c.ByRounds, c.Warnings)
		}
		if got := len(c.benchValues()); test.rounds > 1 && test.each < leastRounds && got != test.rounds {
			t.Errorf("%d rounds of %d: benchstat gets %d values", test.rounds, test.each, got)
		}
	}
}

func TestWarmup(t *testing.T) {
	var warm, cold []results.Record
	for range 30 {
		flat, falling := make([]float64, 40), make([]float64, 40)
		for i := range flat {
			flat[i], falling[i] = 1, 1
			if i < 10 {
				falling[i] = 1.5
			}
		}
		warm = append(warm, record(results.FirstPacket, "a", flat...))
		cold = append(cold, record(results.FirstPacket, "a", falling...))
	}
	if got := Warmup(warm); !strings.Contains(got, "long enough") {
		t.Error(got)
	}
	if got := Warmup(cold); !strings.Contains(got, "too short") || !strings.Contains(got, "+50.0 %") {
		t.Error(got)
	}
	if Warmup(nil) != "" {
		t.Error("judged nothing")
	}
}

// of makes a record of a variant, given as name, value pairs.
func of(metric string, at map[string]string, pairs ...string) results.Record {
	v := results.Variant{}
	for i := 0; i < len(pairs); i += 2 {
		v[pairs[i]] = pairs[i+1]
	}
	return results.Record{Metric: metric, Variant: v, Factors: at, Values: []float64{1}}
}

func labels(s *Summary) []string {
	var out []string
	for _, one := range s.Series() {
		out = append(out, one.Label)
	}
	return out
}

// TestSeriesOrder: the baseline comes first, then what the configuration lists, in its
// order, however trials were interleaved; no mode needs to be known.
func TestSeriesOrder(t *testing.T) {
	records := []results.Record{
		of(results.SyncFull, nil, "mode", "quantum", "spin", "up", "testbed", "uml"), of(results.SyncFull, nil, "mode", "ipvs", "scheduler", "sh", "testbed", "uml"),
		of(results.SyncFull, nil, "mode", "ipvs", "testbed", "uml"), of(results.SyncFull, nil, "mode", "none", "testbed", "uml"),
		of(results.SyncFull, nil, "mode", "quantum", "testbed", "uml"), {Metric: results.HostLoad, Variant: results.Variant{results.Testbed: "uml"}, Values: []float64{1}},
	}
	variants := func(list ...map[string]any) (out []any) {
		for _, m := range list {
			out = append(out, m)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		config map[string]any
		want   []string
	}{
		{"configured", map[string]any{"baseline": "none", "variants": variants(map[string]any{"mode": "ipvs"}, map[string]any{"mode": "ipvs", "scheduler": "sh"},
			map[string]any{"mode": "quantum", "spin": "up"}, map[string]any{"mode": "quantum"})},
			[]string{"none", "ipvs", "ipvs scheduler=sh", "quantum spin=up", "quantum"}},
		{"by mode", map[string]any{"modes": []any{"ipvs", "quantum"}}, []string{"ipvs", "ipvs scheduler=sh", "quantum", "quantum spin=up", "none"}},
		{"not at all", nil, []string{"quantum spin=up", "ipvs scheduler=sh", "ipvs", "none", "quantum"}},
	} {
		s, err := Of(&results.Run{Records: records, Config: c.config})
		if err != nil {
			t.Fatal(err)
		}
		if got := labels(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	s, err := Of(&results.Run{Records: records, Config: map[string]any{"baseline": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	var places []int
	for _, one := range s.Series() {
		if one.Baseline != (one.Mode == "none") {
			t.Errorf("%+v", one)
		}
		places = append(places, one.Place, one.Sibling)
	}
	if want := []int{0, 0, 0, 0, 1, 0, 1, 1, 0, 1}; !slices.Equal(places, want) {
		t.Errorf("places %v, want %v", places, want)
	}
}

// TestBaselineOf: a series is measured against the baseline under its own conditions.
func TestBaselineOf(t *testing.T) {
	s, err := Make([]results.Record{
		of(results.FirstPacket, nil, "mode", "direct"), of(results.FirstPacket, nil, "mode", "direct", "family", "ipv6"),
		of(results.FirstPacket, nil, "mode", "ipvs", "scheduler", "sh"), of(results.FirstPacket, nil, "mode", "ipvs", "family", "ipv6", "scheduler", "sh"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range s.Series() {
		base, ok := s.BaselineOf(one)
		if !ok || base.Variant[results.Family] != one.Variant[results.Family] {
			t.Errorf("%s is set against %v", one.Label, base.Variant)
		}
	}
	if _, ok := s.BaselineOf(Series{Variant: results.Variant{"mode": "ipvs"}}); !ok {
		t.Error("no baseline under the usual conditions")
	}
	alone, err := Make([]results.Record{of(results.FirstPacket, nil, "mode", "direct", "family", "ipv6"), of(results.FirstPacket, nil, "mode", "ipvs")})
	if err != nil {
		t.Fatal(err)
	}
	if base, ok := alone.BaselineOf(alone.Series()[1]); ok {
		t.Errorf("ipv4 is set against %v", base.Variant)
	}
}

// TestLedger: several cells where one is expected are noted with what they differ in,
// and what was never asked for is named.
func TestLedger(t *testing.T) {
	at := func(pairs ...string) map[string]string {
		return With(map[string]string{results.Services: "5"}, pairs...)
	}
	plain, err := Make([]results.Record{
		of(results.FirstPacket, at("position", "last", "protocol", "tcp"), "mode", "a"),
		of(results.FirstPacket, at("position", "last", "protocol", "udp"), "mode", "a"),
		of(results.Throughput, at("position", "last", "streams", "1"), "mode", "a"),
		of(results.Throughput, at("position", "last", "streams", "8"), "mode", "a"),
		of(results.SyncFull, at(), "mode", "a"), of(results.SyncFull, at(), "mode", "b", "speed", "high"),
		of("moon_phase", at(), "mode", "a"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := plain.Follow()
	a := s.Series()[0]
	if s.One(a, results.FirstPacket, at("position", "last", "protocol", "tcp")) == nil || s.One(a, results.SyncFull, nil) == nil || s.One(a, "nothing", nil) != nil {
		t.Error("a cell was not found")
	}
	if s.One(a, results.Throughput, at()) != nil || len(s.BySize(a, results.Throughput, nil)) != 0 {
		t.Error("one of two cells was taken")
	}
	if got := s.Ambiguous(); len(got) != 1 || !strings.Contains(got[0], results.Throughput) || !strings.Contains(got[0], "streams (1, 8)") || strings.Contains(got[0], "position") {
		t.Errorf("ambiguous: %q", got)
	}
	want := []string{results.FirstPacket + " (protocol=udp)", results.Throughput, results.SyncFull + " (speed=high)", "moon_phase"}
	if got := s.Unshown(); !slices.Equal(got, want) {
		t.Errorf("unshown: %q, want %q", got, want)
	}
	if len(plain.Ambiguous())+len(plain.Unshown()) != 0 {
		t.Error("a Summary that is not followed took something down")
	}
}

// TestBenchDirections: benchstat is told which values are better, where all metrics of
// the unit agree.
func TestBenchDirections(t *testing.T) {
	s, err := Make([]results.Record{
		of(results.ReuseRate, nil, "mode", "kube-proxy/ipvs"), of(results.GigabitCPU, nil, "mode", "a"), of(results.LiveLost, nil, "mode", "a"),
		of(results.Objects, nil, "mode", "a"), of("moon_phase", nil, "mode", "a"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteBench(&b, results.Env{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Unit conns/s better=higher\n", "Unit sec/op better=lower\n", "BenchmarkReuseConnections/mode=kube-proxy:ipvs 1 1 conns/s",
		"BenchmarkGigabitCpu/mode=a 1 1 sec/op", "BenchmarkMoonPhase/mode=a 1 1 value"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("bench.txt lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "Unit count") || strings.Contains(b.String(), "Unit value") {
		t.Error("a direction is declared of a unit that has none")
	}
}

// TestServed: a size at which only the baseline, or the machine, was measured is none that
// modes can be compared at.
func TestServed(t *testing.T) {
	at := func(n string) map[string]string { return map[string]string{results.Services: n} }
	s, err := Make([]results.Record{
		{Metric: results.FirstPacket, Variant: results.Variant{results.Mode: "ipvs"}, Factors: at("10"), Values: []float64{1}},
		{Metric: results.FirstPacket, Variant: results.Variant{results.Mode: results.DefaultBaseline}, Factors: at("50"), Values: []float64{1}},
		{Metric: results.MachineStep, Variant: results.Variant{results.Mode: "ipvs"}, Factors: at("90"), Values: []float64{1}},
	})
	if err != nil || !slices.Equal(s.Served(), []int{10}) || !slices.Equal(s.Sizes(), []int{10, 50, 90}) {
		t.Errorf("%v of %v, %v", s.Served(), s.Sizes(), err)
	}
	s.Cells = s.Cells[1:2]
	if !slices.Equal(s.Served(), []int{50}) {
		t.Errorf("of the baseline alone: %v", s.Served())
	}
}
