package report

import (
	"fmt"
	"strings"
	"testing"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// TestAgainst: where a mode and its peer are in a run, their ratios are a table.
func TestAgainst(t *testing.T) {
	record := func(mode string, value float64) results.Record {
		return results.Record{Metric: results.SyncFull, Variant: results.Variant{results.Mode: mode}, Trial: mode,
			Factors: map[string]string{results.Services: "10"}, Values: []float64{value}}
	}
	known := []modes.Mode{{Name: "x"}, {Name: "y"}, {Name: "real/x", PeerOf: "x"}}
	s, err := summary.Make([]results.Record{record("x", 1), record("y", 7), record("real/x", 4)})
	if err != nil {
		t.Fatal(err)
	}
	got := against(known, s, s.Series())
	if got == nil || len(got.Rows) != 1 {
		t.Fatalf("%+v", got)
	}
	if text := fmt.Sprint(got.Rows[0]); !strings.Contains(text, "x / real/x") || !strings.Contains(text, "0.25") {
		t.Errorf("the row is %s", text)
	}
	if got := against(known[:2], s, s.Series()); got != nil {
		t.Errorf("without a peer there is %+v", got)
	}
}

// TestQuotient: of what was cut off a ratio is a bound, and of nothing there is none.
func TestQuotient(t *testing.T) {
	of := func(v float64, over bool) *summary.Cell { return &summary.Cell{Median: v, Over: over} }
	for want, pair := range map[string][2]*summary.Cell{
		"0.500":   {of(1, false), of(2, false)},
		"< 0.500": {of(1, false), of(2, true)},
		"> 0.500": {of(1, true), of(2, false)},
		"-":       {of(1, true), of(2, true)},
	} {
		if got := quotient(pair[0], pair[1]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := quotient(of(0, false), of(2, false)) + quotient(nil, of(2, false)); got != "--" {
		t.Errorf("got %s", got)
	}
}
