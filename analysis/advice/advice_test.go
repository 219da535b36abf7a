package advice

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/snapshot/synth"
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

// TestRates: intervals say who keeps up; where there is none, a margin does, and says so.
func TestRates(t *testing.T) {
	all := Standing{Leaders: []Entry{{Label: "a", Value: 0.001, Lo: 0.0009, Hi: 0.0011, Interval: true}},
		Unplaced: []Entry{{Label: "b", Value: 0.001}, {Label: "c", Value: 0.9, Over: true, HalfOver: true}}}
	for changes, want := range map[float64][]string{
		2: {"a keeps up with 2.00", "b keeps up with 2.00 changes a second: one by one it programs 1000 (it has no interval: a factor of 10 decides)",
			"c does not keep up with 2.00 changes a second: one by one it programs less than 1.11"},
		950:   {"a may or may not", "b may or may not", "c does not"},
		1200:  {"a does not", "b may or may not keep up with", "c does not"},
		20000: {"a does not", "b does not keep up with", "c does not"},
		0.5:   {"a keeps", "b keeps", "c may or may not keep up with"},
	} {
		got := rates(all, changes)
		for i, w := range want {
			if len(got) != len(want) || !strings.HasPrefix(got[i], w) {
				t.Errorf("%g changes: %q, want %q", changes, got, w)
			}
		}
	}
}

// TestRatesCutOff: a round that was cut off, of many, does not show that a mode cannot keep up,
// nor do the others that it can; half of them do.
func TestRatesCutOff(t *testing.T) {
	q := find(t, OneChange)
	for cut, want := range map[int]string{1: "a may or may not keep up with", 5: "a may or may not", 6: "a does not keep up with", 12: "a does not"} {
		var records []results.Record
		for round := range 12 {
			r := results.Record{Metric: q.Metric, Variant: results.Variant{results.Mode: "a"}, Factors: summary.With(q.At, results.Services, "1"), Round: round, Values: []float64{1}}
			if round < cut {
				r.Values, r.Over = []float64{10}, true
			}
			records = append(records, r)
		}
		s, err := summary.Make(records)
		if err != nil {
			t.Fatal(err)
		}
		if got := rates(Ask(q, s, s.Series(), 1, nil), 2); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%d of 12 rounds cut off: %q, want %q", cut, got, want)
		}
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

// grown is a run of two modes at three sizes: the change of one costs a second for each
// thousand Services more, that of the other nothing.
func grown() *results.Run {
	run := &results.Run{Dir: "runs/x", Env: results.Env{Kernel: "Linux 7.3", Testbed: "uml"}}
	for mode, slope := range map[string]float64{"iptables": 1e-3, "ipvs": 0} {
		for _, n := range []int{100, 1000, 5000} {
			r := results.Record{Metric: results.SyncDelta, Variant: results.Variant{results.Mode: mode, results.Endpoints: "2"},
				Factors: map[string]string{results.Services: fmt.Sprint(n), results.Change: "service-add"}}
			for k := range 12 {
				r.Values = append(r.Values, (0.001+slope*float64(n))*(1+0.001*float64(k)))
			}
			run.Records = append(run.Records, r)
		}
	}
	return run
}

// text is what advice says.
func text(t *testing.T, a *Advice, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := a.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestAdvise: what was measured is advised from; a budget says from where on it matters; a
// rate who keeps up; another size is simulated and says so.
func TestAdvise(t *testing.T) {
	a, err := Advise(catalog.All(), grown(), Input{Services: 5000, Changes: 0.5, Budget: 2})
	got := text(t, a, err)
	for _, want := range []string{"At 5000 Services, from runs/x", "ipvs takes least, 1.01 ms [1.00, 1.01]", "iptables is behind by 5.03 s",
		"iptables is behind by more than 2.00 s a change, from about 2000 Services on", "iptables does not keep up with 0.500 changes", "ipvs keeps up with",
		"Neither measured nor simulated: userspace, iptables-tree, nftables"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not said in\n%s", want, got)
		}
	}
	if strings.Contains(got, "SIMULATED") || a.Simulation != "" {
		t.Error("what was measured is called simulated")
	}
	a, err = Advise(catalog.All(), grown(), Input{Services: 20000})
	if got := text(t, a, err); !strings.Contains(got, "SIMULATED") || !strings.Contains(got, "], simulated") || len(a.Standings[0].Behind) != 1 {
		t.Errorf("another size is not simulated:\n%s", got)
	} else if _, lo, hi := a.Standings[0].Gap(a.Standings[0].Behind[0]); lo > 20 || hi < 20 {
		t.Errorf("the bounds of the simulation, [%g, %g], do not hold what grows by a second for each thousand", lo, hi)
	}
	a, err = Advise(catalog.All(), nil, Input{Services: 20000})
	if got := text(t, a, err); !strings.Contains(got, "SIMULATED") || !strings.Contains(got, "nothing can be told apart") {
		t.Errorf("without a run:\n%s", got)
	}
	for _, family := range []modes.Family{modes.IPv4, modes.IPv6} {
		a, err := Advise(catalog.All(), nil, Input{Services: 20, Topology: synth.Spec{Services: 20, Endpoints: 1, Ports: 1, Family: family}})
		if got := text(t, a, err); strings.Contains(got, "It is of Services of ipv6; ") != (family == modes.IPv6) {
			t.Errorf("%s:\n%s", family, got)
		}
	}
	if _, err := Advise(catalog.All(), grown(), Input{Kernel: "9.9"}); err == nil || !strings.Contains(err.Error(), "the run is of Linux 7.3") {
		t.Errorf("another kernel: %v", err)
	}
	if a, err := Advise(catalog.All(), grown(), Input{Kernel: "7.3"}); err != nil || a.Services != 5000 {
		t.Errorf("its own kernel: %+v %v", a, err)
	}
}

// TestFrom: what is not known of where a run was made is left out.
func TestFrom(t *testing.T) {
	for want, env := range map[string]results.Env{
		"from runs/x.":                             {},
		"from runs/x (testbed uml).":               {Testbed: "uml"},
		"from runs/x (testbed uml, kernel Linux).": {Testbed: "uml", Kernel: "Linux"},
	} {
		run := grown()
		run.Env = env
		a, err := Advise(catalog.All(), run, Input{Services: 5000})
		if got := text(t, a, err); !strings.Contains(got, want) {
			t.Errorf("%q is not said in\n%s", want, got)
		}
	}
}

// TestFamilies: of a run of both families that of the Services counts, and a run of the other
// one alone says so.
func TestFamilies(t *testing.T) {
	run := grown()
	topology := func(f modes.Family) modes.Topology {
		return synth.Spec{Services: 5000, Endpoints: 1, Ports: 1, Family: f}
	}
	const other = "Your Services are of ipv6; what was measured is not."
	a, err := Advise(catalog.All(), run, Input{Services: 5000, Topology: topology(modes.IPv6)})
	if got := text(t, a, err); !strings.Contains(got, other) {
		t.Errorf("of ipv4 alone:\n%s", got)
	}
	for _, r := range slices.Clone(run.Records) {
		r.Variant = maps.Clone(r.Variant)
		r.Variant[results.Family] = string(modes.IPv6)
		run.Records = append(run.Records, r)
	}
	for _, f := range []modes.Family{modes.IPv4, modes.IPv6} {
		a, err := Advise(catalog.All(), run, Input{Services: 5000, Topology: topology(f)})
		got := text(t, a, err)
		if strings.Contains(got, other) || strings.Contains(got, "family=ipv6") != (f == modes.IPv6) {
			t.Errorf("%s out of both:\n%s", f, got)
		}
	}
}

// TestDual: a run of dual-stack Services alone is of either family too, and says that it is of
// both.
func TestDual(t *testing.T) {
	run := grown()
	for _, r := range run.Records {
		r.Variant[results.Family] = string(modes.Dual)
	}
	for _, f := range []modes.Family{modes.IPv4, modes.IPv6} {
		a, err := Advise(catalog.All(), run, Input{Services: 5000, Topology: synth.Spec{Services: 5000, Endpoints: 1, Ports: 1, Family: f}})
		if got := text(t, a, err); !strings.Contains(got, "Your Services are of "+string(f)+"; what was measured serves both families at once.") {
			t.Errorf("%s:\n%s", f, got)
		}
	}
}

// TestKernels: of a run on several kernels each is named, the packaged one too, and one is
// not taken for another whose name begins alike.
func TestKernels(t *testing.T) {
	run := grown()
	run.Env.Kernel = "Linux 6.1.1; Linux 6.12.9; Linux 7.3.4"
	for _, r := range slices.Clone(run.Records) {
		for _, k := range []string{"6.1", "6.12"} {
			r.Variant = results.Variant{results.Mode: r.Variant.Mode(), results.Endpoints: "2", results.Kernel: k}
			run.Records = append(run.Records, r)
		}
	}
	for kernel, want := range map[string]int{"": 6, "6.1": 2, "6.12": 2, results.UsualKernel: 2} {
		a, err := Advise(catalog.All(), run, Input{Services: 5000, Kernel: kernel})
		if err != nil {
			t.Fatal(err)
		}
		if st := a.Standings[0]; len(st.Leaders)+len(st.Behind)+len(st.Unplaced) != want {
			t.Errorf("kernel %q: %+v", kernel, st)
		}
	}
	for _, kernel := range []string{"7.3", "6"} {
		if _, err := Advise(catalog.All(), run, Input{Kernel: kernel}); err == nil || !strings.Contains(err.Error(), "the run is of debian, 6.1, 6.12") {
			t.Errorf("%s: %v", kernel, err)
		}
	}
	a, err := Advise(catalog.All(), run, Input{Services: 20000, Kernel: "6.12"})
	if err != nil || a.Standings[0].Empty() || strings.Contains(a.Simulation, "not of the run itself") {
		t.Errorf("another size of one of them: %+v, %v", a, err)
	}
}

// TestForecastOfVariants: what the model knows nothing of has no forecast, rather than that
// of the mode without it.
func TestForecastOfVariants(t *testing.T) {
	run := grown()
	f, _, err := simulated(catalog.All(), run, mustSummary(t, run), nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"": true, results.Policies: false, results.Family: false, "sync": false} {
		v := results.Variant{results.Mode: "iptables", results.Endpoints: "2"}
		if key != "" {
			v[key] = "some"
		}
		if _, ok := f(find(t, OneChange), summary.Series{Mode: "iptables", Label: "x", Variant: v}, 20000); ok != want {
			t.Errorf("%q: %t", key, ok)
		}
	}
}

func mustSummary(t *testing.T, run *results.Run) *summary.Summary {
	t.Helper()
	s, err := summary.Of(run)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFromTheNode: what a mode makes that serves the node alone is in no contest with what
// clients elsewhere get, although the metric is the same.
func TestFromTheNode(t *testing.T) {
	at := summary.With(nil, results.Services, "1", results.Position, "random")
	record := func(mode string, at map[string]string, v float64) results.Record {
		return results.Record{Metric: results.ConnectionsRate, Variant: results.Variant{results.Mode: mode}, Factors: at, Values: []float64{v, v, v, v, v, v, v}}
	}
	s, err := summary.Make([]results.Record{record("a", at, 100), record("sockets", summary.With(at, results.From, "node"), 200)})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{Connections: "a", Connections + summary.FromNode: "sockets"} {
		got := Ask(find(t, name), s, s.Series(), 1, nil)
		if len(got.Behind)+len(got.Unplaced) > 0 || len(got.Leaders) != 1 || got.Leaders[0].Label != want {
			t.Errorf("%s: %+v, want %s alone", name, got, want)
		}
	}
}
