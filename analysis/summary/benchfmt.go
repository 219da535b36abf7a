package summary

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"

	"viplab/results"
)

// WriteBench writes every sample in the Go benchmark text format, which
// benchstat reads: factors in the name, the environment as configuration lines.
func (s *Summary) WriteBench(w io.Writer, env results.Env) error {
	out := benchfmt.NewWriter(w)
	config := []benchfmt.Config{
		{Key: "kernel", Value: []byte(env.Kernel), File: true},
		{Key: "testbed", Value: []byte(env.Testbed), File: true},
		{Key: "cpu", Value: []byte(env.CPU), File: true},
	}
	for _, c := range s.Cells {
		name, unit, scale := benchName(c)
		for _, v := range c.Values {
			res := &benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: 1,
				Values: []benchfmt.Value{{Value: v * scale, Unit: unit}}}
			if err := out.Write(res); err != nil {
				return fmt.Errorf("write benchmark line: %w", err)
			}
		}
	}
	return nil
}

// benchName makes "SyncDelta/change=service-add/mode=ipvs/..." of a cell, with
// the unit that its values get in that format and their factor.
func benchName(c *Cell) (name, unit string, scale float64) {
	metric, unit, scale := c.Metric, "", 1.0
	for _, u := range []struct {
		suffix, unit string
		scale        float64
	}{
		{"_seconds_per_connection", "ns/op", 1e9},
		{"_bits_per_second", "bits/s", 1},
		{"_per_second", "conns/s", 1},
		{"_seconds", "ns/op", 1e9},
		{"_bytes", "B", 1},
	} {
		if m, ok := strings.CutSuffix(metric, u.suffix); ok {
			metric, unit, scale = m, u.unit, u.scale
			if u.suffix == "_seconds_per_connection" {
				metric = "connection_cpu"
			}
			break
		}
	}
	if unit == "" {
		unit = "count"
	}
	if metric == "cpu" {
		metric = "cpu_time"
	}
	var b strings.Builder
	for word := range strings.SplitSeq(metric, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	for _, k := range slices.Sorted(maps.Keys(c.Factors)) {
		b.WriteString("/" + k + "=" + strings.ReplaceAll(c.Factors[k], " ", "-"))
	}
	return b.String(), unit, scale
}
