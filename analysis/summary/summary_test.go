package summary

import (
	"bytes"
	"math"
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
	if p := s.One(results.FirstPacket, map[string]string{results.Mode: "a"}); p.P99 == nil || *p.P99 != 99 || *p.P90 != 90 {
		t.Errorf("100 samples: %+v", p)
	}
	if p := s.One(results.FirstPacket, map[string]string{results.Mode: "b"}); p.P99 != nil {
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
