package session

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"viplab/lab/pulse"
	"viplab/lab/roles"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
)

// Outcome counts what became of the trials.
type Outcome struct {
	Done, Failed, Left int
	// Failures has one line for each failed trial.
	Failures []string
	// OutOfTime is set when MaxTime ended the run.
	OutOfTime bool
}

// Runner runs trials in testbeds.
type Runner struct {
	// Testbed is where a trial runs.
	Testbed  func(trial.Spec) testbed.Testbed
	Out      *results.Writer
	Progress Progress
	// Facts of the machine and program, which become part of the record of
	// each round's environment.
	Facts map[string]string
	// OnEnv is called with what the testbed says of itself, at the start of
	// each round. May be nil.
	OnEnv func(trial.Env) error
	// MemoryMB of a guest and RealRoot, see [testbed.Command].
	MemoryMB int
	RealRoot bool
	// Services are a user's own, for trials that have an Input.
	Services *modes.Snapshot

	outcome Outcome
	trials  map[string]trial.Spec
	running string // ID of the trial that runs, empty between trials
	started time.Time
	failure error // of writing records
	host    hostLoad
	at      results.Variant // where trials run now
	beats   *pulse.Pulse
}

// Run runs the trials, one guest or set of namespaces a round and kernel. A trial that
// fails, and a guest that dies in the middle of one, is recorded, and the rest
// goes on. When ctx ends, what was measured is kept and ctx's error returned.
func (r *Runner) Run(ctx context.Context, trials []trial.Spec, maxTime time.Duration) (Outcome, error) {
	if r.trials == nil {
		r.trials = make(map[string]trial.Spec, len(trials))
	}
	for _, t := range trials {
		r.trials[t.ID] = t
	}
	r.beats = pulse.Start()
	defer r.beats.Stop()
	r.Progress.Begin(trials)
	defer r.Progress.End()
	inner, cancel := ctx, context.CancelFunc(func() {})
	if maxTime > 0 {
		inner, cancel = context.WithTimeout(ctx, maxTime)
	}
	defer cancel()
	for len(trials) > 0 {
		n := 1
		for n < len(trials) && together(trials[0], trials[n]) {
			n++
		}
		if err := r.round(inner, trials[:n]); err != nil {
			r.outcome.Left = len(r.trials) - r.outcome.Done - r.outcome.Failed
			if ctx.Err() == nil && inner.Err() != nil {
				r.outcome.OutOfTime = true
				return r.outcome, nil
			}
			return r.outcome, err
		}
		trials = trials[n:]
	}
	return r.outcome, nil
}

// together tells whether trials that come after each other share a guest. Where time travels,
// each has one of its own: all begin at the same moment then, and a guest of kernel 7.3 in
// which more than some 2600 s have passed may be at one page fault for ever.
func together(a, b trial.Spec) bool {
	return a.Round == b.Round && a.Kernel == b.Kernel && a.CPUs == b.CPUs && !a.Plan.TimeTravel
}

// round runs trials in one guest, and those that are left in another one if it
// dies.
func (r *Runner) round(ctx context.Context, trials []trial.Spec) error {
	for len(trials) > 0 {
		before := r.outcome.Done + r.outcome.Failed
		err := r.job(ctx, trials)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.failure != nil {
			return r.failure
		}
		if err != nil && r.running == "" {
			return err // it failed before or between trials: no trial's fault
		}
		if err != nil {
			r.lost(err)
		}
		ran := r.outcome.Done + r.outcome.Failed - before
		if ran == 0 {
			return errors.New("the testbed ended without running a trial")
		}
		trials = trials[ran:]
	}
	return nil
}

// lost records the death of the testbed under the trial that ran.
func (r *Runner) lost(err error) {
	t := r.trials[r.running]
	rec := t.NewRecord(results.Done, nil)
	rec.Err = err.Error()
	r.add(rec)
}

func (r *Runner) job(ctx context.Context, trials []trial.Spec) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	input, err := json.Marshal(trial.Job{Trials: trials, ProxyCommand: []string{self, testbed.RoleProxy}, Services: r.Services, Guest: trials[0].Testbed != testbed.NativeName})
	if err != nil {
		return fmt.Errorf("encode job: %w", err)
	}
	r.running = ""
	r.host = readHostLoad()
	r.at = placeOf(trials[0])
	defer func() { r.noteHost(trials[0]) }()
	var stderr bytes.Buffer
	events := &lineWriter{line: r.event}
	code, err := r.Testbed(trials[0]).Run(ctx, testbed.Command{
		Args: []string{self, roles.Trials}, Stdin: input, Stdout: events, Stderr: &stderr, MemoryMB: r.MemoryMB,
		RealRoot: r.RealRoot,
		// Probes are blocking system calls; Go would interrupt them to preempt.
		Env: append(testbed.CallerEnv(), "GODEBUG=asyncpreemptoff=1"),
	})
	if err != nil {
		return err
	}
	if code != 0 {
		return errors.New(strings.TrimSuffix(fmt.Sprintf("the trials %s: %s", testbed.HowEnded(code), strings.TrimSpace(stderr.String())), ": "))
	}
	return nil
}

// placeOf is what of a trial's variant says where it runs.
func placeOf(t trial.Spec) results.Variant {
	v := t.Variant()
	at := results.Variant{results.Testbed: v[results.Testbed]}
	for _, key := range []string{results.Kernel, results.CPUs} {
		if value, ok := v[key]; ok {
			at[key] = value
		}
	}
	return at
}

// event takes one line that the inside said.
func (r *Runner) event(line []byte) {
	var ev trial.Event
	if err := json.Unmarshal(line, &ev); err != nil {
		return // the rest of a line that a dying guest did not finish
	}
	switch {
	case ev.Env != nil:
		r.add(results.Record{Metric: results.Environment, Variant: r.at, Factors: r.facts(*ev.Env)})
		if r.OnEnv != nil && r.failure == nil {
			r.failure = r.OnEnv(*ev.Env)
		}
	case ev.Start != "":
		r.running, r.started = ev.Start, time.Now()
		_ = r.beats.Take() // between trials nothing is timed
		r.add(results.Record{Metric: results.Begin, Trial: ev.Start, Round: r.trials[ev.Start].Round})
		r.Progress.Start(r.trials[ev.Start])
	case ev.Step != "":
		r.Progress.Step(ev.Step)
	case ev.Record != nil:
		r.add(*ev.Record)
	}
}

// facts joins what is known of the machine with what the inside of the testbed
// says of itself.
func (r *Runner) facts(inside trial.Env) map[string]string {
	f := maps.Clone(r.Facts)
	if f == nil {
		f = map[string]string{}
	}
	f["testbed kernel"], f["testbed CPUs"] = inside.Kernel, fmt.Sprint(inside.CPUs)
	maps.Copy(f, inside.Sysctls)
	return f
}

// noteHost records how busy the machine was in the round that ends.
func (r *Runner) noteHost(first trial.Spec) {
	now := readHostLoad()
	r.add(results.Record{Metric: results.HostLoad, Variant: r.at, Round: first.Round, Values: []float64{now.load}})
	if total := now.total - r.host.total; total > 0 {
		r.add(results.Record{Metric: results.HostSteal, Variant: r.at, Round: first.Round, Values: []float64{(now.steal - r.host.steal) / total}})
	}
}

func (r *Runner) add(rec results.Record) {
	if rec.Metric == results.Done {
		now := time.Now()
		rec.Mark = cmp.Or(rec.Mark, r.beats.Take(), clockStep(now.Round(0).Sub(r.started.Round(0)), now.Sub(r.started)))
	}
	if err := r.Out.Add(rec); err != nil && r.failure == nil {
		r.failure = err
	}
	if rec.Metric != results.Done {
		return
	}
	r.running = ""
	if rec.Err == "" {
		r.outcome.Done++
	} else {
		r.outcome.Failed++
		r.outcome.Failures = append(r.outcome.Failures, rec.Trial+": "+rec.Err)
	}
	r.Progress.Finish(r.trials[rec.Trial], time.Since(r.started), rec.Err)
}

// lineWriter calls a function for each whole line written to it.
type lineWriter struct {
	line func([]byte)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.line(w.rest[:i])
		w.rest = slices.Delete(w.rest, 0, i+1)
	}
}
