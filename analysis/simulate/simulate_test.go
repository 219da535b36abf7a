package simulate

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
	"viplab/modes/iptablestree"
	"viplab/modes/ipvs"
	"viplab/modes/nftables"
	"viplab/modes/snapshot/synth"
	"viplab/results"

	"net/netip"
)

// TestStateIsExact: what is counted on a sample and multiplied is what the whole
// plan has.
func TestStateIsExact(t *testing.T) {
	for _, m := range catalog.All() {
		for _, spec := range []synth.Spec{{Services: 1, Endpoints: 2, Ports: 1, Seed: 1}, {Services: 2300, Endpoints: 3, Ports: 2, Seed: 5},
			{Services: 2300, Endpoints: 3, Ports: 2, Seed: 5, Family: modes.IPv6}} {
			got, err := StateOf(m, nil, spec)
			if err != nil {
				t.Fatal(err)
			}
			family := modes.FamilyOf(spec.VIP(0))
			want := m.Program(nil, spec.Snapshot().Of(family), node(family)).Counts()
			near := map[string]float64{modes.CountText: 0.02, modes.CountBlob: 0.001}
			for kind, n := range want {
				if math.Abs(got[kind]-n) > near[kind]*n+0.5 {
					t.Errorf("%s: %g %s, the plan has %g", m.Name, got[kind], kind, n)
				}
			}
		}
	}
}

// TestFirstIsExact: what is counted from structure is what the tracer walks in the
// whole plan.
func TestFirstIsExact(t *testing.T) {
	for _, family := range []modes.Family{modes.IPv4, modes.IPv6} {
		testFirstIsExact(t, family)
	}
}

func testFirstIsExact(t *testing.T, family modes.Family) {
	spec := synth.Spec{Services: 700, Endpoints: 2, Ports: 2, Seed: 3, Family: family}
	snap := spec.Snapshot().Of(family)
	from, _ := client(family)
	at := []int{0, 46, 47, 350, 699}
	for _, m := range catalog.All().Serving() {
		w, err := NewWalker(m, nil, spec, at)
		if err != nil {
			t.Fatal(err)
		}
		program := m.Program(nil, snap, node(family))
		for _, i := range at {
			got, err := w.First(i)
			if err != nil {
				t.Fatal(err)
			}
			f := modes.Flow{From: modes.FromClient, Proto: modes.TCP, Pick: i % 2, Src: netip.AddrPortFrom(from, 40000),
				Dst: netip.AddrPortFrom(snap.Services[i].ClusterIP, synth.FirstPort)}
			// What is in a bucket and what a proxy's own connection meets the tracer does
			// not tell apart.
			want := program.Follow(node(family), f).Operations
			if got.Bucket, got.Behind = 0, 0; got != want {
				t.Errorf("%s, %s, service %d: %+v, the tracer walks %+v", m.Name, family, i, got, want)
			}
		}
	}
}

// known makes a run whose costs are known exactly: a rule looked at 10 ns, a rule
// in the table 20 µs.
func known(t *testing.T, sizes ...int) *results.Run {
	run := &results.Run{Dir: "x", Env: results.Env{Testbed: "uml"}, Config: map[string]any{"endpoints": 2, "ports": 1, "seed": 1}}
	for _, n := range sizes {
		spec := synth.Spec{Services: n, Endpoints: 2, Ports: 1, Seed: 1}
		add := func(metric, mode string, v float64, more ...string) {
			f := map[string]string{results.Services: strconv.Itoa(n)}
			for i := 0; i < len(more); i += 2 {
				f[more[i]] = more[i+1]
			}
			run.Records = append(run.Records, results.Record{Metric: metric, Variant: results.Variant{results.Mode: mode, results.Endpoints: "2"}, Factors: f, Values: []float64{v}})
		}
		state, err := StateOf(iptables.Mode(), nil, spec)
		if err != nil {
			t.Fatal(err)
		}
		add(results.SyncDelta, "iptables", 0.05+20e-6*state[modes.CountRules], results.Change, modes.ServiceAdd)
		for _, position := range []string{"first", "middle", "last"} {
			tcp := []string{results.Protocol, "tcp", results.From, "client", results.Position, position}
			add(results.FirstPacket, "direct", 50e-6, tcp...)
			c, err := packetsAt(iptables.Mode(), nil, spec, positions(position, n))
			if err != nil {
				t.Fatal(err)
			}
			add(results.FirstPacket, "iptables", 70e-6+10e-9*c[ruleLooked], tcp...)
		}
	}
	return run
}

func TestCalibrateFindsTheCosts(t *testing.T) {
	run := known(t, 1, 1000, 5000, 20000)
	s, err := summary.Make(run.Records)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Calibrate(catalog.All(), run, s, 5000)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Costs[FirstPacket][anyMode][ruleLooked]; math.Abs(got-10e-9) > 0.2e-9 {
		t.Errorf("a rule looked at costs %g, want 10 ns", got)
	}
	if got := c.Costs[modes.ServiceAdd]["iptables"][modes.RulePresent.Name]; math.Abs(got-20e-6) > 0.2e-6 {
		t.Errorf("a rule in the table costs %g, want 20 µs", got)
	}
	checks, median, err := HeldOut(catalog.All(), run, s, 5000)
	if err != nil || len(checks) != 7 || median > 0.01 {
		t.Errorf("%d checks, median error %g, %v", len(checks), median, err)
	}
	if !strings.Contains(CheckSentence(checks, median, 5000), "median absolute error 0 % over 7 cells") {
		t.Error(CheckSentence(checks, median, 5000))
	}
	var missing *MissingCostError
	if p, err := c.Predict(ipvs.Mode(), nil, synth.Spec{Services: 10, Endpoints: 2, Ports: 1}); err != nil || p.FirstPacket != (Distribution{}) {
		t.Errorf("what only packets of modes meet that were not measured is not known: %+v, %v", p.FirstPacket, err)
	}
	if _, err := c.cost(Quantities()[2], ipvs.Mode(), nil, counted{}); !errors.As(err, &missing) {
		t.Errorf("a cost that was not measured: %v", err)
	}
}

func TestCalibrateRefuses(t *testing.T) {
	run := known(t, 1)
	s, err := summary.Make(run.Records)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Calibrate(catalog.All(), run, s, 0); err == nil || !strings.Contains(err.Error(), "at least two numbers") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "{", "{}"} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a calibration", bad)
		}
	}
}

// TestDeterministic: the same seed gives the same bytes.
func TestDeterministic(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	text := func() string {
		var out bytes.Buffer
		var list []Prediction
		for _, m := range catalog.All() {
			p, err := c.Predict(m, nil, synth.Spec{Services: 30000, Endpoints: 2, Ports: 1, Seed: 9})
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, p)
		}
		if err := WritePredictions(&out, c, list); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if a, b := text(), text(); a != b || !strings.Contains(a, "Simulated, not measured") {
		t.Errorf("%s\n%s", a, b)
	}
}

// TestWriteEras: large counts are written out.
func TestWriteEras(t *testing.T) {
	list, err := PublishedJobs(synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := WriteEras(&out, list); err != nil || strings.Contains(out.String(), "e+") || !strings.Contains(out.String(), " 40000 ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestEras: what the sums say is what call after call adds up to.
func TestEras(t *testing.T) {
	j := Job{Rules: 100, Jumps: 100, Bytes: 100 * 152, CPUs: 4}
	for _, e := range Eras() {
		var want Counts
		for i := range j.Rules {
			there := float64(i + 1)
			want.Calls++
			want.Entries += there
			if e.PerCPU {
				want.Bytes += there * 152 * 4
			}
			if e.Search {
				want.Searched += there * there / 2
			}
		}
		got := e.Count(j)
		if got.Calls != want.Calls || got.Entries != want.Entries || got.Bytes != want.Bytes || math.Abs(got.Searched-want.Searched) > 0.02*want.Searched {
			t.Errorf("%s: %+v, call by call %+v", e.Name, got, want)
		}
	}
}

// TestDelays: with few changes each waits for its own sync only; with syncs that
// take longer the more changes there are, none keeps up with too many.
func TestDelays(t *testing.T) {
	d, err := Churn{Rate: 0.01, MinSync: 1, Sync: 0.5}.Delays(1)
	if err != nil || math.Abs(d.P50-0.5) > 1e-9 || !d.KeepsUp {
		t.Errorf("few changes: %+v, %v", d, err)
	}
	if d, err = (Churn{Rate: 10, MinSync: 1, Sync: 0.5}).Delays(1); err != nil || d.P50 < 0.9 || d.P50 > 1.5 || !d.KeepsUp {
		t.Errorf("ten a second: %+v, %v", d, err)
	}
	if d, err = (Churn{Rate: 10, MinSync: 1, PerSync: 0.2}).Delays(1); err != nil || d.KeepsUp {
		t.Errorf("0.2 s each, ten a second: %+v, %v", d, err)
	}
}

func TestChoices(t *testing.T) {
	fanout, _ := iptablestree.Mode().Param(iptablestree.FanoutParam)
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Choices(iptablestree.Mode(), fanout, synth.Spec{Services: 2000, Endpoints: 2, Ports: 1, Seed: 1})
	if err != nil || len(list) != 8 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, f := range list {
		if f.FirstPacket < list[0].FirstPacket*0.99 {
			t.Errorf("fan-out %s is better than the best, %s", f.Value, list[0].Value)
		}
	}
}

// TestHeldOutByLayout: each layout of nftables has costs of its own, and what grows with a
// square is found where sizes tell of it; two runs are calibrated with together.
func TestHeldOutByLayout(t *testing.T) {
	m := nftables.Mode()
	per := map[string][2]float64{"count": {5e-6, 0}, "kube-proxy": {90e-6, 40e-9}} // an element, a pair of rules
	observe := func(sizes ...int) *Calibration {
		c := &Calibration{Testbed: "uml", Source: "known", Spec: synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1}}
		for _, n := range sizes {
			spec := c.Spec
			spec.Services = n
			for layout, cost := range per {
				a := modes.Args{nftables.LayoutParam: layout}
				state, err := StateOf(m, a, spec)
				if err != nil {
					t.Fatal(err)
				}
				rules := state[modes.CountRules]
				c.Cells = append(c.Cells, Observation{Quantity: modes.FullSync, Mode: m.Name, Args: a, Services: n,
					Measured: 0.01 + cost[0]*state[modes.CountEntries] + cost[1]*rules*rules/2})
			}
		}
		return c
	}
	c := observe(1, 1000, 5000)
	if err := c.Join(observe(2000, 20000)); err != nil {
		t.Fatal(err)
	}
	for _, held := range []int{2000, 20000} {
		checks, err := c.HeldOut(catalog.All(), func(n int) bool { return n == held })
		if err != nil || len(checks) != 2 {
			t.Fatalf("%d checks, %v", len(checks), err)
		}
		for _, check := range checks {
			if math.Abs(check.Error()) > 0.01 {
				t.Errorf("%s at %d: %+.1f %%", check.Label(), held, 100*check.Error())
			}
		}
	}
	other := observe(10)
	other.Testbed = "native"
	if err := c.Join(other); err == nil {
		t.Error("runs on two testbeds were joined")
	}
}

// TestSquaresNeedSizes: from small sizes alone nothing is fitted to what grows with a square.
func TestSquaresNeedSizes(t *testing.T) {
	c := &Calibration{Spec: synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1}}
	for _, n := range []int{1, 1000, 5000, 20000} {
		c.Cells = append(c.Cells, Observation{Quantity: modes.FullSync, Mode: "iptables", Services: n, Measured: 0.05 + 50e-6*float64(n)*(1+float64(n)/50000)})
	}
	const square = "chain in the tool's index"
	for upTo, want := range map[int]bool{5000: false, 20000: true} {
		fitted, err := c.Without(catalog.All(), func(n int) bool { return n > upTo })
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := fitted.Costs[modes.FullSync]["iptables"][square]; ok != want {
			t.Errorf("up to %d: %v", upTo, fitted.Costs[modes.FullSync]["iptables"])
		}
	}
}

// TestPeers: a program of its own cannot be simulated, and the error names what can.
func TestPeers(t *testing.T) {
	for _, m := range catalog.Known() {
		_, err := StateOf(m, nil, synth.Spec{Services: 1, Endpoints: 2, Ports: 1})
		var no *modes.NoPlanError
		if m.PeerOf != "" && (!errors.As(err, &no) || no.PeerOf != m.PeerOf || !strings.Contains(err.Error(), "use mode "+m.PeerOf)) || m.PeerOf == "" && err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}
