package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"viplab/results"
)

// run makes a run of cells with the given medians, strayed by noise.
func run(rng *rand.Rand, rounds int, noise float64, medians map[string]float64) *results.Run {
	out := &results.Run{Dir: "x", Env: results.Env{Testbed: "uml", Kernel: "6.1", CPU: "c", CPUs: 2}}
	scales := map[string]float64{results.SyncFull: 1, results.ConnectionsRate: 1000}
	for _, mode := range slices.Sorted(maps.Keys(medians)) { // so that the noise is the same each time
		for _, metric := range slices.Sorted(maps.Keys(scales)) {
			for r := range rounds {
				v := results.Variant{results.Mode: mode, results.Testbed: "uml"}
				out.Records = append(out.Records, results.Record{Metric: metric, Variant: v, Factors: map[string]string{results.Services: "10"}, Round: r,
					Values: []float64{medians[mode] * scales[metric] * (1 + noise*rng.NormFloat64())}})
			}
		}
	}
	return out
}

func TestRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a := run(rng, 8, 0.02, map[string]float64{"same": 1, "slower": 1, "faster": 1, "gone": 1})
	b := run(rng, 8, 0.02, map[string]float64{"same": 1, "slower": 1.3, "faster": 0.7})
	c, err := Runs(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rows) != 6 || c.OnlyA != 2 || c.OnlyB != 0 {
		t.Fatalf("%+v", c)
	}
	worse := map[string]bool{}
	for _, r := range c.Worsened(0.05) {
		worse[r.Metric+" "+r.Variant.Mode()] = true
	}
	// Slower syncs and fewer connections are worse.
	if len(worse) != 2 || !worse[results.SyncFull+" slower"] || !worse[results.ConnectionsRate+" faster"] {
		t.Errorf("worse: %v", worse)
	}
	for _, format := range Formats() {
		var out bytes.Buffer
		if err := c.Write(&out, format, true); err != nil || !strings.Contains(out.String(), "slower") {
			t.Errorf("%s: %v %s", format, err, out.String())
		}
		if format == "json" && !json.Valid(out.Bytes()) {
			t.Error("not JSON")
		}
	}
}

// TestSameThing: of cells in which nothing changed, at most about Alpha differ, and
// none is reported as worse by a tenth.
func TestSameThing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	cells, significant := 0, 0
	for range 400 {
		m := map[string]float64{"a": 1, "b": 1}
		c, err := Runs(run(rng, 6, 0.05, m), run(rng, 6, 0.05, m), Options{})
		if err != nil {
			t.Fatal(err)
		}
		cells, significant = cells+len(c.Rows), significant+c.Significant()
		if w := c.Worsened(0.1); len(w) > 0 {
			t.Errorf("worse: %+v", w)
		}
	}
	if share := float64(significant) / float64(cells); share > 0.06 {
		t.Errorf("%.3f of the cells differ", share)
	}
}

// TestMachine: what changed by no more than the machine itself did is no finding, and what
// changed by more, or the other way, is one.
func TestMachine(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	speed := func(r *results.Run, step float64) *results.Run {
		for round := range 8 {
			r.Records = append(r.Records, results.Record{Metric: results.MachineStep, Round: round, Values: []float64{step}, Factors: map[string]string{results.Loop: "walk"}})
		}
		return r
	}
	a := speed(run(rng, 8, 0.01, map[string]float64{"as it": 1, "more": 1, "faster": 1}), 2e-9)
	b := speed(run(rng, 8, 0.01, map[string]float64{"as it": 1.2, "more": 1.6, "faster": 0.8}), 2.6e-9)
	c, err := Runs(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if by := c.Machine["walk"]; by < 0.299 || by > 0.301 {
		t.Errorf("the machine: %v", c.Machine)
	}
	for _, r := range c.Rows {
		// Connections of "faster" are fewer, as on a slower machine.
		want := r.Variant.Mode() == "as it" && r.Metric == results.SyncFull || r.Variant.Mode() == "faster" && r.Metric == results.ConnectionsRate
		if r.Explained != want || !r.Significant {
			t.Errorf("%s: explained %t, significant %t, %.2f", r.Name(), r.Explained, r.Significant, r.Change)
		}
	}
	if c.Explained() != 2 || c.Significant() != 4 {
		t.Errorf("%d explained, %d significant", c.Explained(), c.Significant())
	}
}

// TestMachineWithin: a change of which the machine's own is one that the interval allows may
// be the machine's, and one whose whole interval is beyond that is not.
func TestMachineWithin(t *testing.T) {
	for noise, want := range map[float64]bool{0.15: true, 0.005: false} {
		rng := rand.New(rand.NewPCG(3, 4))
		a, b := run(rng, 12, noise, map[string]float64{"m": 1}), run(rng, 12, noise, map[string]float64{"m": 1.3})
		for side, step := range map[*results.Run]float64{a: 1e-9, b: 1.18e-9} {
			side.Records = append(side.Records, results.Record{Metric: results.MachineStep, Values: []float64{step}, Factors: map[string]string{results.Loop: "walk"}})
		}
		c, err := Runs(a, b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.Rows {
			if r.Metric == results.SyncFull && (!r.Significant || r.Change < 0.18 || r.Explained != want) {
				t.Errorf("noise %g: %s: explained %t, %+.2f [%+.2f, %+.2f], p %.3f", noise, r.Name(), r.Explained, r.Change, r.Lo, r.Hi, r.P)
			}
		}
	}
}

// TestBaseline: what changed as it did without a Service is the machine's, and what changed by
// more, the other way, under other conditions, or on another machine, is not.
func TestBaseline(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	a := run(rng, 8, 0.01, map[string]float64{"direct": 9, "alike": 10, "more": 20, "faster": 10})
	b := run(rng, 8, 0.01, map[string]float64{"direct": 85, "alike": 86, "more": 180, "faster": 5})
	for _, side := range []*results.Run{a, b} {
		for _, r := range side.Records {
			if r.Variant.Mode() == "direct" {
				r.Factors[results.Position] = "first" // which is any place, without Services
			}
			if r.Variant.Mode() == "alike" {
				r.Factors[results.Position] = "last"
				r.Variant = results.Variant{results.Mode: "alike", results.Testbed: "uml", "backend": "nft"}
				side.Records = append(side.Records, r)
				r.Variant = results.Variant{results.Mode: "alike", results.Testbed: "other"}
				side.Records = append(side.Records, r)
			}
		}
	}
	c, err := Runs(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Rows {
		want := r.Variant.Mode() == "direct" || r.Variant.Mode() == "alike" && r.Variant[results.Testbed] == "uml" ||
			r.Variant.Mode() == "more" && r.Metric == results.ConnectionsRate // a connection got cheaper by less
		if r.Explained != want {
			t.Errorf("%s: explained %t, %+.2f", r.Name(), r.Explained, r.Change)
		}
	}
	// Connections of "faster" are fewer, and syncs of "more" and of the other testbed slower.
	if w := c.Worsened(0.05); len(w) != 3 || c.Explained() != 7 {
		t.Errorf("worse: %+v, explained: %d", w, c.Explained())
	}
	if strings.Contains(c.sentence(), "versions") {
		t.Error(c.sentence())
	}
	a.Env.Viplab, b.Env.Viplab, b.Env.Kernel = "one", "other", "6.2"
	if c, err = Runs(a, b, Options{Anyway: true}); err != nil || c.Explained() != 0 {
		t.Errorf("another kernel: %+v, %v", c, err)
	}
	if !strings.Contains(c.sentence(), "one in A, other in B") {
		t.Error(c.sentence())
	}
}

// TestHalves: a run that does not drift does not differ from itself, and one of few
// rounds is not asked.
func TestHalves(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	m := map[string]float64{}
	for i := range 100 {
		m[string(rune('a'+i))] = 1
	}
	c, err := Halves(run(rng, 12, 0.05, m))
	if err != nil || len(c.Rows) != 200 || float64(c.Significant()) > 0.08*200 {
		t.Errorf("%d of %d differ, %v", c.Significant(), len(c.Rows), err)
	}
	if c, err := Halves(run(rng, 7, 0.05, m)); c != nil || err != nil {
		t.Errorf("seven rounds: %v, %v", c, err)
	}
}

// TestHalvesOfDrift: between the halves of a run the machine's own drift is what is looked for,
// not what explains it away.
func TestHalvesOfDrift(t *testing.T) {
	drifts := run(rand.New(rand.NewPCG(11, 12)), 12, 0.01, map[string]float64{"m": 1})
	for i, r := range drifts.Records {
		if r.Round%2 == 1 && r.Metric == results.SyncFull {
			drifts.Records[i].Values[0] *= 1.1
		}
	}
	for round := range 12 {
		drifts.Records = append(drifts.Records, results.Record{Metric: results.MachineStep, Round: round, Values: []float64{1e-9 * (1 + 0.2*float64(round%2))},
			Factors: map[string]string{results.Loop: "walk"}})
	}
	if c, err := Halves(drifts); err != nil || c.Significant() == 0 || c.Explained() > 0 {
		t.Errorf("%d differ, %d are explained, %v", c.Significant(), c.Explained(), err)
	}
}

func TestRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, b := run(rng, 6, 0, map[string]float64{"m": 1}), run(rng, 6, 0, map[string]float64{"m": 1})
	b.Env.Kernel = "6.2"
	var different *DifferentError
	if _, err := Runs(a, b, Options{}); !errors.As(err, &different) || !different.Forced || !strings.Contains(err.Error(), `kernel "6.1" against "6.2"`) {
		t.Errorf("got %v", err)
	}
	if c, err := Runs(a, b, Options{Anyway: true}); err != nil || len(c.Rows) != 2 || !strings.Contains(c.sentence(), "although kernel") {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := Runs(a, run(rng, 6, 0, map[string]float64{"other": 1}), Options{}); !errors.As(err, &different) || different.Forced {
		t.Errorf("nothing in common: %v", err)
	}
}

// TestDirections: more connections are better under any name, and no change of a metric
// that is not known is for the worse.
func TestDirections(t *testing.T) {
	side := func(factor float64) *results.Run {
		out := &results.Run{Dir: "x"}
		for _, metric := range []string{results.ReuseRate, results.GigabitCPU, "moon_phase"} {
			for round := range 8 {
				out.Records = append(out.Records, results.Record{Metric: metric, Variant: results.Variant{results.Mode: "ipvs"}, Round: round,
					Values: []float64{factor * (1 + float64(round)/1000)}})
			}
		}
		return out
	}
	for factor, want := range map[float64]string{1.5: results.GigabitCPU, 0.5: results.ReuseRate} {
		c, err := Runs(side(1), side(factor), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if w := c.Worsened(0.1); len(c.Rows) != 3 || len(w) != 1 || w[0].Metric != want {
			t.Errorf("times %g, worse: %+v", factor, w)
		}
	}
}

// TestAcross: variants that differ in a key meet only if it is asked for, and each its
// own where both runs have both.
func TestAcross(t *testing.T) {
	side := func(backends ...string) *results.Run {
		out := &results.Run{Dir: "x"}
		for _, b := range backends {
			v := results.Variant{results.Mode: "iptables"}
			if b != "" {
				v["backend"] = b
			}
			for round := range 6 {
				out.Records = append(out.Records, results.Record{Metric: results.SyncFull, Variant: v, Round: round, Values: []float64{1}})
			}
		}
		return out
	}
	var different *DifferentError
	across := Options{Across: []string{"backend"}}
	if _, err := Runs(side(""), side("nft"), Options{}); !errors.As(err, &different) {
		t.Errorf("not asked for: %v", err)
	}
	if _, err := Runs(side(""), side("nft"), Options{}); err == nil || !strings.Contains(err.Error(), "--across backend lets") {
		t.Errorf("not asked for, which could be: %v", err)
	}
	if c, err := Runs(side("", "nft"), side("nft", "x"), Options{}); err != nil || !strings.Contains(c.sentence(), "--across backend lets") {
		t.Errorf("not asked for in part: %+v, %v", c, err)
	}
	if c, err := Runs(side(""), side("nft"), across); err != nil || len(c.Rows) != 1 {
		t.Errorf("asked for: %+v, %v", c, err)
	}
	if c, err := Runs(side("", "nft"), side("", "nft"), across); err != nil || len(c.Rows) != 2 {
		t.Errorf("both in each run: %+v, %v", c, err)
	}
	c, err := Runs(side("", "nft"), side("nft"), across)
	if err != nil || len(c.Rows) != 1 || c.Rows[0].Variant["backend"] != "nft" || len(c.Lost) != 1 {
		t.Errorf("both in one run: %+v, %v", c, err)
	}
	if _, err := Runs(side(""), side(""), across); err == nil || !strings.Contains(err.Error(), "a backend to compare across") {
		t.Errorf("a key that there is not: %v", err)
	}
}

// TestGone: what a limit cut off, or failed, in B alone is said.
func TestGone(t *testing.T) {
	side := func(over, failed bool) *results.Run {
		out := &results.Run{Dir: "x"}
		for _, n := range []string{"10", "20", "30"} {
			at, v := map[string]string{results.Services: n}, results.Variant{results.Mode: "m"}
			for round := range 4 {
				r := results.Record{Metric: results.SyncFull, Variant: v, Factors: at, Round: round, Values: []float64{1}, Over: over && n == "20"}
				if failed && n == "30" {
					r = results.Record{Metric: results.Done, Variant: v, Factors: at, Round: round, Err: "no room", Trial: fmt.Sprint(n, round)}
				}
				out.Records = append(out.Records, r)
			}
		}
		return out
	}
	other := side(false, true)
	for i := range other.Records {
		other.Records[i].Variant = results.Variant{results.Mode: "m", "backend": "nft"}
	}
	if c, err := Runs(side(false, false), other, Options{Across: []string{"backend"}}); err != nil || len(c.Lost) != 1 {
		t.Errorf("across a key: %+v, %v", c, err)
	}
	for _, tt := range []struct {
		over, failed, before bool
		cut, lost            int
	}{{}, {over: true, cut: 1}, {over: true, before: true}, {failed: true, lost: 1}} {
		c, err := Runs(side(tt.before, false), side(tt.over, tt.failed), Options{})
		if err != nil || len(c.Cut) != tt.cut || len(c.Lost) != tt.lost {
			t.Errorf("%+v: cut %q, lost %q, %v", tt, c.Cut, c.Lost, err)
		}
	}
}

// TestRatio: the interval of few rounds is the widest that there is, and what begins from
// next to nothing is seen.
func TestRatio(t *testing.T) {
	if _, lo, hi, ok := ratio([]float64{100, 101, 102, 110}, []float64{109, 120, 121, 122}); !ok || lo > -0.00909 || hi < 0.2199 {
		t.Errorf("[%g, %g] %t", lo, hi, ok)
	}
	side := func(values ...float64) *results.Run {
		out := &results.Run{Dir: "x"}
		for round, v := range values {
			out.Records = append(out.Records, results.Record{Metric: results.LiveLost, Variant: results.Variant{results.Mode: "m"}, Round: round, Values: []float64{v}})
		}
		return out
	}
	for name, a := range map[string][]float64{"nothing": {0, 0, 0, 0, 0, 0}, "nearly": {0, 0, 0, 0, 0, 1}, "a little": {1, 1, 1, 1, 1, 0}} {
		c, err := Runs(side(a...), side(40, 45, 50, 55, 58, 60), Options{})
		if err != nil || len(c.Worsened(0.05)) != 1 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}
