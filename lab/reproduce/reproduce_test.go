package reproduce

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/analysis/summary"
	"viplab/analysis/verdict"
	"viplab/modes/catalog"
	"viplab/results"
	"viplab/results/published"
)

// TestTargets: every target of the published data is there, every series of it is
// set beside something or says why not, and nothing names what is not published.
func TestTargets(t *testing.T) {
	points, err := published.Points()
	if err != nil {
		t.Fatal(err)
	}
	var experiments []string
	for _, e := range Experiments(catalog.Known(), false) {
		experiments = append(experiments, e.Name)
		if err := e.Config.Validate(catalog.Known()); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	for _, e := range Experiments(catalog.Known(), true) {
		if err := e.Config.Validate(catalog.Known()); err != nil {
			t.Errorf("%s, quick: %v", e.Name, err)
		}
	}
	seen := map[string]bool{}
	for _, target := range Targets() {
		seen[target.ID] = true
		for _, b := range target.Beside {
			seen[target.ID+b.Series] = true
			if len(published.Of(points, target.ID, b.Series)) == 0 {
				t.Errorf("%s: there is no published series %s", target.ID, b.Series)
			}
			if b.Cannot == "" && (b.Ours == nil || b.What == "" || !slices.Contains(experiments, b.Experiment)) {
				t.Errorf("%s %s: neither measured nor a reason", target.ID, b.Series)
			}
		}
		if target.CannotRun != "" && len(target.Beside) > 0 {
			t.Errorf("%s cannot be run, but is set beside something", target.ID)
		}
	}
	for _, p := range points {
		if !seen[p.Target] {
			t.Errorf("%s is no target", p.Target)
		}
		derived := p.Provenance == published.Derived || p.Series == "iptables_keepalive_change" || p.Series == "direct" || strings.HasSuffix(p.Series, "rate")
		if !derived && !seen[p.Target+p.Series] {
			t.Errorf("%s %s is set beside nothing, without a reason", p.Target, p.Series)
		}
	}
}

// TestJudge: a run that has what was published is found to; three points read off a plot
// are too few for a shape, which is said; and what is from memory is never compared.
func TestJudge(t *testing.T) {
	var records []results.Record
	for n, v := range map[string]float64{"5000": 153e-6, "10000": 259e-6, "30000": 714e-6} {
		values := make([]float64, 200)
		for i := range values {
			values[i] = v
		}
		records = append(records, results.Record{Metric: results.FirstPacket, Values: values, Variant: results.Variant{results.Mode: "iptables"}, Factors: map[string]string{
			results.Services: n, results.Position: "random", results.Protocol: "tcp", results.From: "client"}})
	}
	s, err := summary.Make(records)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := Find([]string{"r1", "R6"})
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := Judge(targets, Runs{Curves: s}, map[string]error{Layouts: errors.New("no such kernel\nat all")})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]verdict.Kind{}
	for _, o := range outcomes {
		for _, r := range o.Rows {
			kinds[r.Target+" "+r.Series] = r.Kind
		}
	}
	if kinds["R1 iptables_p99"] != verdict.Level || kinds["R1 nftables_p99"] != verdict.CannotCompare || kinds["R6 iptables_last"] != verdict.CannotCompare {
		t.Errorf("%v", kinds)
	}
	md := string(Markdown(outcomes, nil, map[string]bool{"R1": true}))
	for _, want := range []string{"from memory", "| R1 | iptables_p99 |", "could not have told", "plots/r1.svg", "| P |", "it was not run: no such kernel |"} {
		if !strings.Contains(md, want) {
			t.Errorf("the document lacks %q", want)
		}
	}
	if p := outcomes[0].Picture(); p.Empty() || len(p.Panels) != 4 {
		t.Errorf("%d panels", len(p.Panels))
	}
}

// TestCrossing: two falling rates cross where their ratio is one; a ratio that never falls
// to it is beyond the largest size, and one that begins below it crosses nowhere.
func TestCrossing(t *testing.T) {
	at := func(ys ...float64) verdict.Sample {
		return crossing(func(*summary.Summary) []verdict.Sample {
			var out []verdict.Sample
			for i, y := range ys {
				out = append(out, verdict.Sample{X: float64(10000 * (i + 1)), Y: y})
			}
			return out
		})(nil)[0]
	}
	if got := at(4, 2, 0.5); got.Y != 25000 || got.Over {
		t.Errorf("2 at 20000 and 0.5 at 30000: %+v", got)
	}
	if got := at(4, 2); !got.Over || got.Y != 20000 {
		t.Errorf("never below one: %+v", got)
	}
	if got := at(0.9, 0.5); got.Y != 0 || got.Over {
		t.Errorf("below one from the first: %+v", got)
	}
}

// TestTwoKernels: the ratio of two kernels is that of the first one asked for over the last,
// in whatever order they were measured, the packaged one (which variants do not name) too.
func TestTwoKernels(t *testing.T) {
	const mode = "kube-proxy/nftables"
	target := twoKernels()
	over := target.Beside[len(target.Beside)-1].Ours
	for _, kernels := range [][2]string{{"6.1", "6.12"}, {results.UsualKernel, "6.12"}, {"6.12", results.UsualKernel}} {
		variant := func(kernel string) results.Variant {
			v := results.Variant{results.Mode: mode, results.Testbed: "uml"}
			if kernel != results.UsualKernel {
				v[results.Kernel] = kernel
			}
			return v
		}
		run := &results.Run{}
		var asked []any
		for i, k := range kernels {
			one := map[string]any{}
			for name, value := range variant(k) {
				one[name] = value
			}
			asked = append(asked, one)
			sample := results.Record{Metric: results.SyncFull, Variant: variant(k), Factors: map[string]string{results.Services: "100"}, Values: []float64{[]float64{6, 2}[i]}}
			run.Records = append([]results.Record{sample}, run.Records...) // the last one was measured first
		}
		run.Config = map[string]any{results.ConfigVariants: asked}
		s, err := summary.Of(run)
		if err != nil {
			t.Fatal(err)
		}
		if got := over(s); len(got) != 1 || got[0].Y != 3 || got[0].X != publishedAt {
			t.Errorf("6 s on kernel %s, the first one, and 2 s on %s: %+v", kernels[0], kernels[1], got)
		}
		s = s.Where(func(v results.Variant) bool { return v.KernelName() == kernels[0] })
		if got := over(s); got != nil {
			t.Errorf("kernel %s alone: %+v", kernels[0], got)
		}
	}
}

// TestTakes: every experiment has a quick form that is bounded, and none takes longer so.
func TestTakes(t *testing.T) {
	quick := Experiments(catalog.Known(), true)
	for i, e := range Experiments(catalog.Known(), false) {
		long, err := e.Config.Takes(catalog.Known())
		if err != nil {
			t.Fatal(err)
		}
		short, err := quick[i].Config.Takes(catalog.Known())
		if err != nil {
			t.Fatal(err)
		}
		if short > quick[i].Config.MaxTime || quick[i].Config.MaxTime > 5*time.Minute || short > long {
			t.Errorf("%s takes %s, and quick %s of at most %s", e.Name, long, short, quick[i].Config.MaxTime)
		}
	}
}

// TestQuickCompares: of what is published by the number of Services small runs reach something,
// but for the layouts (published is a size that takes minutes a sync), plain rules, and kernels,
// whose ratio stands where it was published.
func TestQuickCompares(t *testing.T) {
	points, err := published.Points()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range Experiments(catalog.Known(), true) {
		for _, target := range Targets() {
			least := math.Inf(1)
			for _, b := range target.Beside {
				for _, p := range published.Of(points, target.ID, b.Series) {
					if b.Experiment == e.Name {
						least = min(least, p.X)
					}
				}
			}
			if largest := slices.Max(e.Config.Services); e.Name != Plain && e.Name != Kernels && target.ID+e.Name != "R13"+Layouts && !math.IsInf(least, 1) && float64(largest) < least {
				t.Errorf("%s: experiment %s ends at %d Services, published points begin at %g", target.ID, e.Name, largest, least)
			}
		}
	}
}
