package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/lab/play"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
)

func TestValidate(t *testing.T) {
	for want, edit := range map[string]func(*Config){
		"":                     func(*Config) {},
		"services must be":     func(c *Config) { c.Services = []int{0} },
		"services must be 1":   func(c *Config) { c.Services = []int{2_000_000} },
		"given twice":          func(c *Config) { c.Services = []int{5, 5} },
		"no size":              func(c *Config) { c.Services = nil },
		"unknown mode":         func(c *Config) { c.Modes = []string{"ipvz"} },
		"ipvs is given twice":  func(c *Config) { c.Modes = []string{"ipvs", "ipvs"} },
		"none given":           func(c *Config) { c.Modes = nil },
		"repeat must be":       func(c *Config) { c.Repeat = 0 },
		"duration must be":     func(c *Config) { c.Duration = time.Millisecond },
		"unknown fanout":       func(c *Config) { c.Params = map[string]Values{"fanout": {"3"}} },
		"for mode ipvs, which": func(c *Config) { c.Params, c.Modes = map[string]Values{"bind": {"route"}}, []string{"iptables"} },
		"unknown setting":      func(c *Config) { c.Params = map[string]Values{"gravity": {"1"}} },
		"1021 is of no use without select maglev": func(c *Config) {
			c.Params, c.Modes = map[string]Values{"maglev-table": {"251", "1021"}}, []string{"ebpf"}
		},
		"family ipv4 alone":    func(c *Config) { c.Params, c.Families = map[string]Values{"forward": {"tunnel"}}, []string{"dual"} },
		"warmup must be":       func(c *Config) { c.Warmup = -1 },
		"max-time must not be": func(c *Config) { c.MaxTime = -1 },
		"endpoints must be":    func(c *Config) { c.Endpoints = 0 },
	} {
		c := Default(catalog.All())
		edit(&c)
		err := c.Validate(catalog.All())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v", want, err)
		}
	}
}

// TestDependent: of values to be compared those combinations are left out that mean nothing.
func TestDependent(t *testing.T) {
	c := Default(catalog.All())
	c.Modes, c.Params = []string{"ebpf"}, map[string]Values{"select": {"random", "maglev"}, "maglev-table": {"1021", "251"}}
	if err := c.Validate(catalog.All()); err != nil {
		t.Fatal(err)
	}
	all, err := c.variants(catalog.All())
	var got []string
	for _, v := range all {
		got = append(got, v.args.String())
	}
	if want := []string{"", "maglev-table=1021 select=maglev", "select=maglev"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, want %q, %v", got, want, err)
	}
}

func TestSweep(t *testing.T) {
	for n, want := range map[int][]int{1: {1}, 50: {1, 50}, 1000: {1, 100, 1000}, 20000: {1, 1000, 5000, 20000}, 30000: {1, 1000, 5000, 20000, 30000}} {
		if got := Sweep(n); !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}

// TestTrialsInterleave: every round has every cell once, and the order of modes
// is not the same in all rounds, but the same for the same seed.
func TestTrialsInterleave(t *testing.T) {
	c := Default(catalog.All())
	trials := trialsOf(t, c)
	if len(trials) != c.Repeat*len(c.Services)*len(c.Modes) {
		t.Fatalf("%d trials", len(trials))
	}
	orders := map[string]bool{}
	seen := map[string]bool{}
	per := len(c.Services) * len(c.Modes)
	for round := range c.Repeat {
		var order []string
		for _, tr := range trials[round*per : (round+1)*per] {
			if tr.Round != round || seen[tr.ID] {
				t.Fatalf("trial %s in round %d", tr.ID, round)
			}
			seen[tr.ID] = true
			order = append(order, tr.Mode)
		}
		orders[strings.Join(order, " ")] = true
	}
	if len(orders) == 1 {
		t.Error("all rounds have the same order")
	}
	if a, b := ids(trials), ids(trialsOf(t, c)); a != b {
		t.Error("the same seed gave another order")
	}
}

func trialsOf(t *testing.T, c Config) []trial.Spec {
	t.Helper()
	out, err := c.Trials(catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ids(trials []trial.Spec) string {
	var out []string
	for _, t := range trials {
		out = append(out, t.ID)
	}
	return strings.Join(out, " ")
}

// scripted is a testbed that plays the inside: it runs each trial of the job,
// and dies in the middle of those that it is told to.
type scripted struct {
	dieIn map[string]bool
	runs  int
	env   bool
}

func (s *scripted) Name() string                { return "scripted" }
func (s *scripted) Probe(context.Context) error { return nil }

func (s *scripted) Run(ctx context.Context, c testbed.Command) (int, error) {
	s.runs++
	var job trial.Job
	if err := json.Unmarshal(c.Stdin, &job); err != nil {
		return -1, err
	}
	out := trial.NewEmitter(c.Stdout)
	if s.env {
		return 0, nil
	}
	for _, t := range job.Trials {
		_ = out.Emit(trial.Event{Start: t.ID})
		if s.dieIn[t.ID] {
			delete(s.dieIn, t.ID)
			_, _ = c.Stdout.Write([]byte(`{"record":{"metr`))
			return -1, &testbed.GuestError{State: "killed", Console: "Kernel panic"}
		}
		rec := results.Record{Metric: results.SyncFull, Trial: t.ID, Round: t.Round, Values: []float64{1}}
		_ = out.Emit(trial.Event{Record: &rec})
		_ = out.Emit(trial.Event{Record: &results.Record{Metric: results.Done, Trial: t.ID, Round: t.Round}})
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
	}
	return 0, nil
}

func runScripted(t *testing.T, ctx context.Context, tb testbed.Testbed, trials []trial.Spec) (Outcome, error, *results.Run, string) {
	t.Helper()
	w, err := results.Create(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p, err := NewProgress(ProgressPlain, &log, false)
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{Testbed: func(trial.Spec) testbed.Testbed { return tb }, Out: w, Progress: p}
	out, runErr := r.Run(ctx, trials, 0)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run, err := results.Open(w.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return out, runErr, run, log.String()
}

// TestGuestDies: the trial under which a guest dies is recorded as failed, with
// the console, and every other trial is run once.
func TestGuestDies(t *testing.T) {
	c := Default(catalog.All())
	c.Services, c.Modes, c.Repeat = []int{1, 2}, []string{"iptables", "ipvs"}, 2
	trials := trialsOf(t, c)
	tb := &scripted{dieIn: map[string]bool{trials[1].ID: true, trials[7].ID: true}}
	out, err, run, log := runScripted(t, t.Context(), tb, trials)
	if err != nil {
		t.Fatal(err)
	}
	if out.Done != 6 || out.Failed != 2 || tb.runs != 3 {
		t.Errorf("%+v in %d guests", out, tb.runs)
	}
	ended := map[string]int{}
	for _, r := range run.Records {
		if r.Metric == results.Done {
			ended[r.Trial]++
			if bad := r.Trial == trials[1].ID || r.Trial == trials[7].ID; bad != strings.Contains(r.Err, "Kernel panic") {
				t.Errorf("%s ended with %q", r.Trial, r.Err)
			}
		}
	}
	for _, tr := range trials {
		if ended[tr.ID] != 1 {
			t.Errorf("%s ended %d times", tr.ID, ended[tr.ID])
		}
	}
	if !strings.Contains(log, "[8/8") || !strings.Contains(log, "FAILED") {
		t.Errorf("progress:\n%s", log)
	}
}

func TestTestbedThatRunsNothing(t *testing.T) {
	c := Default(catalog.All())
	if _, err, _, _ := runScripted(t, t.Context(), &scripted{env: true}, trialsOf(t, c)); err == nil {
		t.Error("no error")
	}
}

func TestInterrupt(t *testing.T) {
	c := Default(catalog.All())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err, _, _ := runScripted(t, ctx, &scripted{}, trialsOf(t, c))
	if !errors.Is(err, context.Canceled) || out.Done != 1 || out.Left != len(trialsOf(t, c))-1 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestEstimate(t *testing.T) {
	c := Default(catalog.All())
	c.Services, c.Modes, c.Repeat, c.Duration = []int{1, 1000}, []string{"ipvs"}, 2, 0
	var e estimate
	trials := trialsOf(t, c)
	e.begin(trials)
	for _, tr := range trials {
		e.finish(tr, 10*time.Second)
	}
	if e.remaining() != 0 {
		t.Errorf("%s left at the end", e.remaining())
	}
	e.begin(trials)
	e.finish(trials[0], 6*time.Second) // twice the guess
	if got := e.remaining(); got != 6*time.Second+2*8*time.Second {
		t.Errorf("%s left", got)
	}
}

// TestEstimateOfWaits: how long a client runs beside syncs, changes arrive, or a script waits
// is known before the first trial, and no error of the guess.
func TestEstimateOfWaits(t *testing.T) {
	c := Default(catalog.All())
	c.Services, c.Modes, c.Repeat, c.Duration = []int{1}, []string{"ipvs"}, 2, 0
	script, err := play.Find("rolling-update", catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[time.Duration]func(*Config){
		0:                func(c *Config) { c.ChurnFor = time.Hour }, // without changes
		10 * time.Second: func(c *Config) { c.Live = 10 * time.Second },
		20 * time.Second: func(c *Config) { c.Churn, c.ChurnFor = 5, 20*time.Second },
		script.Length():  func(c *Config) { c.Script = &script },
	} {
		c := c
		change(&c)
		trials := trialsOf(t, c)
		var e estimate
		e.begin(trials)
		if got := e.remaining(); got != 2*(3*time.Second+want) {
			t.Errorf("%s at the start, with %s of waiting in each of two trials", got, want)
		}
		trials[1].Synth.Services = 1000 // another one
		e.begin(trials)
		e.finish(trials[0], want+6*time.Second)
		if got := e.remaining(); got != want+8*time.Second {
			t.Errorf("%s left after a trial that took 3 s longer, with %s of waiting", got, want)
		}
	}
}

// TestEstimateOfSlowModes: that a mode takes long to program is known before the first trial,
// as is the limit that ends it.
func TestEstimateOfSlowModes(t *testing.T) {
	c := Default(catalog.Known())
	c.Services, c.Modes, c.Repeat, c.Duration = []int{1000, 10000}, []string{"kube-proxy/ipvs"}, 1, 0
	c.SyncLimit = time.Minute
	trials, err := c.Trials(catalog.Known())
	if err != nil {
		t.Fatal(err)
	}
	var e estimate
	e.begin(trials)
	// Of the smaller size all is programmed twice.
	if got, want := e.remaining(), (4+2*30)*time.Second+(13+60)*time.Second; got != want {
		t.Errorf("%s at the start, want %s", got, want)
	}
	// One call a rule, until the limit of that.
	c.Services, c.Modes, c.Params = []int{100, 10000}, []string{"iptables"}, map[string]Values{"sync": {"append"}}
	e.begin(trialsOf(t, c))
	if got, want := e.remaining(), 3100*time.Millisecond+3*time.Second+13*time.Second+c.Limit; got.Round(time.Second) != want.Round(time.Second) {
		t.Errorf("by one call a rule %s at the start, want %s", got, want)
	}
}

func TestChooseNamesWhatIsMissing(t *testing.T) {
	s := Session{Config: Config{Testbed: "moon", Kernels: []string{KernelAuto}}}
	if _, _, err := s.choose(t.Context()); err == nil || modes.IsMissing(err) {
		t.Errorf("got %v", err)
	}
}

func TestClockStep(t *testing.T) {
	for _, c := range []struct {
		wall, monotonic time.Duration
		stepped         bool
	}{{time.Second, time.Second, false}, {time.Second + 20*time.Millisecond, time.Second, false}, {3 * time.Second, time.Second, true}, {-time.Hour, time.Second, true}} {
		if got := clockStep(c.wall, c.monotonic); (got != "") != c.stepped {
			t.Errorf("%s by the wall clock, %s by the monotonic: %q", c.wall, c.monotonic, got)
		}
	}
}

// TestCaveats: a run writes down what its testbed distorts, and what must be known of its
// modes with the arguments that it has.
func TestCaveats(t *testing.T) {
	c := Default(catalog.All())
	c.Testbed, c.Modes, c.Params = testbed.UMLName, []string{"direct", "ipvs"}, map[string]Values{"forward": {"nat", "tunnel"}}
	all, err := c.variants(catalog.All())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(c.caveats(all), "\n")
	for _, want := range []string{testbed.Caveat(testbed.UMLName), "forward=tunnel", "by routes"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(text, want))
		}
	}
	if strings.Contains(text, "forward=dr") || strings.Contains(text, "The iptables modes") {
		t.Errorf("caveats of what is not measured: %s", text)
	}
}
