package summary

import (
	"testing"

	"viplab/results"
)

// TestWrite: no figure has more digits than its interval carries, and both are in one unit.
func TestWrite(t *testing.T) {
	for _, c := range []struct {
		metric         string
		median, lo, hi float64
		text, interval string
	}{
		{results.SyncFull, 0.941, 0.885, 1.108, "0.94 s", "[0.89, 1.11]"},
		{results.SyncFull, 0, 0, 0.003346813, "0.0 ms", "[0.0, 3.3]"},
		{results.SyncFull, 0.0123456, 0.0123, 0.0124, "12.3 ms", "[12.3, 12.4]"},
		{results.SyncFull, 2.9371, 2.1, 3.9, "2.94 s", "[2.10, 3.90]"},
		{results.SyncFull, 2.9371, 0.4, 35, "3 s", "[0, 35]"},
		{results.Throughput, 5.3e9, 5.2e9, 5.4e9, "5.30 Gbit/s", "[5.20, 5.40]"},
		{results.KernelMemory, 123456789, 1e8, 1.5e8, "123 MB", "[100, 150]"},
	} {
		cell := &Cell{Metric: c.metric, Median: c.median, Lo: c.lo, Hi: c.hi, Interval: true}
		if cell.Text() != c.text || cell.Range() != c.interval {
			t.Errorf("%g [%g, %g]: %s %s, want %s %s", c.median, c.lo, c.hi, cell.Text(), cell.Range(), c.text, c.interval)
		}
	}
	if got := (&Cell{Metric: results.SyncFull, Median: 0.0123456, N: 2}); got.Text() != "12.3 ms" || got.Range() != "(n=2)" {
		t.Errorf("%s %s", got.Text(), got.Range())
	}
}

// TestPlain: no number that people read has an exponent.
func TestPlain(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", -3: "-3", 2534: "2534", 2533.7: "2534", 4e4: "40000", 1.05e15: "1050000000000000", 0.05: "0.0500", 3.18e-5: "0.0000318", 1.5: "1.50",
	} {
		if got := Plain(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// TestUnitForAll: values beside each other have one unit, in which the smallest can be read.
func TestUnitForAll(t *testing.T) {
	for want, values := range map[string][]float64{"ms": {0.0013, 2.9}, "µs": {95e-6, 1.2e-3}, "s": {2, 40}, "ns": {0, 5e-9}} {
		if got := UnitForAll(results.SyncFull, values); got.Name != want {
			t.Errorf("%v in %s, want %s", values, got.Name, want)
		}
	}
	for _, low := range []float64{662e-6, 90e-6} {
		if got := UnitForAll(results.SyncFull, []float64{low, 3.9}); got.Name != "ms" {
			t.Errorf("%g and 3.9 s in %s", low, got.Name)
		}
	}
}
