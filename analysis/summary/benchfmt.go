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

// WriteBench writes every sample in the Go benchmark text format, which benchstat
// reads: variant and factors in the name, the environment as configuration lines, and
// for each unit which values are the better ones.
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
		for _, v := range c.Values {
			res := &benchfmt.Result{Config: config, Name: benchfmt.Name(benchName(c)), Iters: 1,
				Values: []benchfmt.Value{{Value: v, Unit: m.Unit.Bench()}}}
			if err := out.Write(res); err != nil {
				return fmt.Errorf("write benchmark line: %w", err)
			}
		}
	}
	return nil
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
