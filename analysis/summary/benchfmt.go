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

// mostBench is how many lines of a cell are written: benchstat's intervals gain nothing
// from more, and a run has hundreds of thousands of packets.
const mostBench = 100

// WriteBench writes the samples in the Go benchmark text format, which benchstat
// reads: variant and factors in the name, the environment as configuration lines, and
// for each unit which values are the better ones. Of a cell whose interval is that of its
// rounds, or which has several rounds of a few samples each, these are the rounds' medians,
// since samples of one round resemble each other; of others all samples, or so many of them at
// equal distances.
func (s *Summary) WriteBench(w io.Writer, env results.Env) error {
	out := benchfmt.NewWriter(w)
	for _, u := range s.benchUnits() {
		if err := out.Write(u); err != nil {
			return fmt.Errorf("write unit: %w", err)
		}
	}
	config := []benchfmt.Config{
		{Key: "kernel", Value: []byte(env.Kernel), File: true},
		{Key: "testbed", Value: []byte(env.Testbed), File: true},
		{Key: "cpu", Value: []byte(env.CPU), File: true},
	}
	for _, c := range s.Cells {
		m, _ := results.FindMetric(c.Metric)
		for _, v := range c.benchValues() {
			res := &benchfmt.Result{Config: config, Name: benchfmt.Name(benchName(c)), Iters: 1,
				Values: []benchfmt.Value{{Value: v, Unit: m.Unit.Bench()}}}
			if err := out.Write(res); err != nil {
				return fmt.Errorf("write benchmark line: %w", err)
			}
		}
	}
	return nil
}

// benchValues are the values that stand for a cell, in the order of measurement.
func (c *Cell) benchValues() []float64 {
	if c.ByRounds || len(c.Trials) > 1 && c.fewEach() {
		var out []float64
		for _, round := range slices.Sorted(maps.Keys(c.Trials)) {
			out = append(out, c.Trials[round])
		}
		return out
	}
	if len(c.Values) <= mostBench {
		return c.Values
	}
	out := make([]float64, mostBench)
	for i := range out {
		out[i] = c.Values[i*len(c.Values)/mostBench]
	}
	return out
}

// benchUnits declares the units of the run in which the same direction is better for
// all metrics.
func (s *Summary) benchUnits() []*benchfmt.UnitMetadata {
	directions := map[string][]results.Direction{}
	for _, c := range s.Cells {
		m, _ := results.FindMetric(c.Metric)
		unit := m.Unit.Bench()
		if !slices.Contains(directions[unit], m.Better) {
			directions[unit] = append(directions[unit], m.Better)
		}
	}
	var out []*benchfmt.UnitMetadata
	for _, unit := range slices.Sorted(maps.Keys(directions)) {
		if len(directions[unit]) != 1 || directions[unit][0] == results.Neither {
			continue
		}
		better := "lower"
		if directions[unit][0] == results.More {
			better = "higher"
		}
		out = append(out, &benchfmt.UnitMetadata{
			UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: unit, Key: "better"}, OrigUnit: unit, Value: better,
		})
	}
	return out
}

// benchName makes "SyncDelta/mode=ipvs/change=service-add/..." of a cell.
func benchName(c *Cell) string {
	m, _ := results.FindMetric(c.Metric)
	name := m.Bench
	plain := strings.NewReplacer(" ", "-", "/", ":") // both would end a value
	for _, part := range []map[string]string{c.Variant, c.Factors} {
		for _, k := range slices.Sorted(maps.Keys(part)) {
			name += "/" + k + "=" + plain.Replace(part[k])
		}
	}
	return name
}
