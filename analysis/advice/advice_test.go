package advice

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"viplab/analysis/summary"
	"viplab/modes/catalog"
	"viplab/results"
)

// made is a summary of full syncs and throughputs: for each mode and size a value in
// seconds (or gigabits) that strays by a share.
func made(t *testing.T, metric string, at map[string]string, samples int, values map[string][]float64, stray float64) (*summary.Summary, []summary.Series) {
	t.Helper()
	var records []results.Record
	for _, mode := range slices.Sorted(func(yield func(string) bool) {
		for m := range values {
			if !yield(m) {
				return
			}
		}
	}) {
		for i, v := range values[mode] {
			r := results.Record{Metric: metric, Variant: results.Variant{results.Mode: mode}, Factors: summary.With(at, results.Services, fmt.Sprint(10*i+1))}
			for k := range samples {
				r.Values = append(r.Values, v*(1+stray*(float64(k)/float64(samples)-0.5)))
			}
			records = append(records, r)
		}
	}
	s, err := summary.Make(records)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.Series()
}

func find(t *testing.T, name string) Question {
	t.Helper()
	i := slices.IndexFunc(Questions(), func(q Question) bool { return q.Name == name })
	if i < 0 {
		t.Fatalf("no question %s", name)
	}
	return Questions()[i]
}

// TestTies: intervals decide, not medians; and how far others are behind has an interval.
func TestTies(t *testing.T) {
	q := find(t, OneChange)
	s, series := made(t, q.Metric, q.At, 12, map[string][]float64{"a": {1.00, 1}, "b": {1.01, 1.01}, "c": {1.005, 3}}, 0.1)
	if got := Ask(q, s, series, 1, nil); len(got.Leaders) != 3 || len(got.Behind) != 0 || !strings.Contains(got.Text(), "cannot be told apart") {
		t.Errorf("%+v", got)
	}
	got := Ask(q, s, series, 11, nil)
	if len(got.Leaders) != 2 || len(got.Behind) != 1 || got.Behind[0].Label != "c" {
		t.Fatalf("%+v", got)
	}
	v, lo, hi := got.Gap(got.Behind[0])
	if v < 1.9 || v > 2.1 || lo >= v || hi <= v || lo < 1.5 || hi > 2.5 {
		t.Errorf("behind by %g [%g, %g]", v, lo, hi)
	}
	if from := From(q, s, series, "c"); from != 11 {
		t.Errorf("behind from %d on", from)
	}
	if from := From(q, s, series, "b"); from != 0 {
		t.Errorf("b is behind from %d on", from)
	}
}

// TestBeyondTheLimit: a mode that does better than no Service at all is no finding, and the
// baseline is no competitor.
func TestBeyondTheLimit(t *testing.T) {
	q := find(t, BulkData)
	s, series := made(t, q.Metric, q.At, 12, map[string][]float64{"direct": {5e9, 7e9}, "x": {6e9, 6e9}, "y": {4e9, 4e9}}, 0.02)
	if got := Ask(q, s, series, 1, nil); !strings.HasPrefix(got.Text(), "no finding: x has") {
		t.Errorf("%s", got.Text())
	}
	got := Ask(q, s, series, 11, nil)
	if len(got.Leaders) != 1 || got.Leaders[0].Label != "x" || !strings.Contains(got.Text(), "y is behind by 2.00 Gbit/s [1.9") {
		t.Errorf("%s", got.Text())
	}
}

// TestFewSamples: without an interval nobody is placed.
func TestFewSamples(t *testing.T) {
	q := find(t, OneChange)
	s, series := made(t, q.Metric, q.At, 3, map[string][]float64{"a": {1}, "b": {9}}, 0.1)
	if got := Ask(q, s, series, 1, nil); len(got.Leaders)+len(got.Behind) != 0 || len(got.Unplaced) != 2 || !strings.Contains(got.Text(), "too few samples") {
		t.Errorf("%+v", got)
	}
}

// TestAbilities: only what tells modes apart is listed.
func TestAbilities(t *testing.T) {
	rows := Abilities(catalog.All(), []string{"userspace", "ipvs", "unheard"})
	if len(rows) < 5 || !slices.Equal(rows[0], []string{"ability", "userspace", "ipvs", "unheard"}) {
		t.Fatal(rows)
	}
	for _, r := range rows[1:] {
		if r[3] != "?" {
			t.Errorf("%v: a mode that nobody knows", r)
		}
	}
	rows = Abilities(catalog.All(), []string{"iptables", "iptables-tree"})
	if len(rows) != 1 {
		t.Errorf("two modes of the same abilities differ: %v", rows)
	}
}
