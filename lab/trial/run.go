package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"viplab/lab/pulse"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/clock"
	"viplab/results"
	"viplab/workload"
)

// Measurement is something that a trial measures.
type Measurement struct {
	// Name says for people what is done now.
	Name string
	// Wanted tells whether the trial's plan asks for it and its mode can be measured so.
	Wanted func(*Stage) bool
	// Alone is set for what makes its own set-up, before that of the others.
	Alone bool
	// Quiet keeps Go's collector from running meanwhile.
	Quiet bool
	// Run measures, and records what it measured. The Services are then as before.
	Run func(context.Context, *Stage) error
}

// RunJob runs the trials of a job, in modes of a catalog, one after another, each with
// those of the measurements that it wants. A trial that fails is a record with an error,
// and the next one runs.
func RunJob(ctx context.Context, known catalog.Catalog, list []Measurement, job Job, out *Emitter) error {
	if err := out.Emit(Event{Env: inspect()}); err != nil {
		return err
	}
	machine, beats := workload.NewMachine(), pulse.Start()
	defer beats.Stop()
	for i, spec := range job.Trials {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !spec.Plan.TimeTravel { // in which a collection may never end
			debug.FreeOSMemory() // what was before is no memory of this trial's
		}
		_ = beats.Take() // between trials nothing is timed
		if err := runOne(ctx, known, list, spec, job.at(i), machine, beats, out); err != nil {
			return err
		}
	}
	return nil
}

// at is the job of one of its trials: only after the last one the kernel ends.
func (j Job) at(i int) Job {
	j.Guest = j.Guest && i == len(j.Trials)-1
	return j
}

// inspect tells what the testbed's kernel is.
func inspect() *Env {
	e := &Env{Kernel: results.KernelRelease(), CPUs: runtime.NumCPU(), Sysctls: map[string]string{}, Clock: clock.Source()}
	for _, name := range []string{"net/netfilter/nf_conntrack_max", "net/core/somaxconn", "net/ipv4/tcp_congestion_control"} {
		if b, err := os.ReadFile("/proc/sys/" + name); err == nil {
			e.Sysctls[name] = strings.TrimSpace(string(b))
		}
	}
	return e
}

func runOne(ctx context.Context, known catalog.Catalog, list []Measurement, spec Spec, job Job, machine *workload.Machine, beats *pulse.Pulse, out *Emitter) error {
	if err := out.Emit(Event{Start: spec.ID}); err != nil {
		return err
	}
	start, peak := time.Now(), workload.WatchPeak()
	before := machine.Measure()
	st, err := newStage(known, spec, job, out)
	st.peak = peak
	if err == nil {
		err = st.play(ctx, list)
	}
	if !spec.Plan.TimeTravel { // in which computing takes no time
		after := machine.Measure()
		for _, loop := range workload.Loops() {
			st.Record(results.MachineStep, map[string]string{results.Loop: loop}, before[loop], after[loop])
		}
		st.recordSpent(time.Since(start))
	}
	if n, perr := st.peak.Bytes(); perr == nil {
		st.Record(results.LabPeakRSS, nil, float64(n))
	}
	err = errors.Join(err, st.fault)
	end := spec.NewRecord(results.Done, nil)
	if end.Mark = cmp.Or(beats.Take(), st.Mark()); err != nil {
		end.Err = err.Error()
	}
	return errors.Join(st.emitErr, out.Emit(Event{Record: &end}))
}

// play runs the whole trial. Whatever happens, nothing is left behind, but in a kernel that
// ends now: to take away 160 000 rules takes seconds.
func (st *Stage) play(ctx context.Context, list []Measurement) (err error) {
	for _, m := range list {
		if m.Alone && m.Wanted(st) {
			if err := errors.Join(st.measure(ctx, m), st.tearDown()); err != nil {
				return err
			}
		}
	}
	if over, err := st.program(ctx); over || err != nil {
		return err
	}
	for _, m := range list {
		if m.Alone || !m.Wanted(st) {
			continue
		}
		if err = ctx.Err(); err != nil {
			break
		}
		if err = st.measure(ctx, m); errors.Is(err, ErrOver) {
			return st.Abandon()
		}
		if err != nil {
			break
		}
	}
	if err == nil && st.ends {
		return nil
	}
	return errors.Join(err, st.tearDown())
}

// measure runs one measurement.
func (st *Stage) measure(ctx context.Context, m Measurement) error {
	st.Step("%s", m.Name)
	run := func() error { return m.Run(ctx, st) }
	if m.Quiet {
		run = func() error { return workload.Quiet(func() error { return m.Run(ctx, st) }) }
	}
	if err := st.spend(m.Name, run); err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	return nil
}

// program sets the stage up with the whole Snapshot programmed, as often as the plan
// says, and leaves it so. over says that a limit ended the trial.
func (st *Stage) program(ctx context.Context) (over bool, err error) {
	for i := range st.Plan.FullSyncs {
		if err := st.spend(stepSetUp, func() error { return st.SetUp(ctx) }); err != nil {
			return false, errors.Join(err, st.tearDown())
		}
		last := i == st.Plan.FullSyncs-1
		if steps := st.Stepwise(); steps != nil {
			// One call an object was timed apart, or would take hours.
			steps.SetSteps(false)
			err = st.fullSync(ctx, true, false)
			steps.SetSteps(true)
			last = true
		} else {
			err = st.fullSync(ctx, last, !st.Plan.TimeTravel)
		}
		switch {
		case errors.Is(err, ErrOver):
			return true, st.Abandon()
		case err != nil:
			return false, errors.Join(err, st.tearDown())
		case last:
			return false, nil
		}
		if err := st.tearDown(); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (st *Stage) tearDown() error { return st.spend(stepTearDown, st.TearDown) }

// Stepwise is the Proxier if it writes by one call an object with the trial's arguments,
// nil if it does not.
func (st *Stage) Stepwise() modes.Stepwise {
	p := st.Proxier
	if p == nil {
		p = st.NewProxier()
	}
	if s, ok := modes.PartFor(p, modes.IPv4).(modes.Stepwise); ok && s.Steps() {
		return s
	}
	return nil
}
