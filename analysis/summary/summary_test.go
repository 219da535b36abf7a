package summary

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"viplab/results"
)

func record(metric, mode string, values ...float64) results.Record {
	return results.Record{Metric: metric, Factors: map[string]string{results.Mode: mode, results.Services: "100"}, Values: values}
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
	a := s.One(results.SyncFull, map[string]string{results.Mode: "a"})
	// Six samples are the least for a 95 % interval, which is then the range.
	if a == nil || a.N != 6 || a.Median != 3.5 || !a.Interval || a.Lo != 1 || a.Hi != 6 {
		t.Errorf("a: %+v", a)
	}
	if b := s.One(results.SyncFull, map[string]string{results.Mode: "b"}); b.Interval || len(b.Warnings) == 0 || math.IsInf(b.Lo, 0) {
		t.Errorf("one sample: %+v", b)
	}
	if p := s.One(results.FirstPacket, map[string]string{results.Mode: "a"}); p.Percentile(99).Value != 99 || p.Percentile(90).Value != 90 || p.Percentile(99).Interval || !p.Percentile(90).Interval {
		t.Errorf("100 samples: %+v", p)
	}
	if p := s.One(results.FirstPacket, map[string]string{results.Mode: "b"}); p.Percentile(99) != nil {
		t.Error("a p99 from 99 samples")
	}
	if len(s.Failures) != 1 || s.Trials != 1 || len(s.Select(results.SyncFull, nil)) != 2 || s.One(results.SyncFull, nil) != nil {
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
	if c := s.One(results.SyncFull, nil); c == nil || c.N != 1 || c.Median != 1 || s.Trials != 1 {
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
