package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// synced is one timed Sync.
type synced struct {
	cost   modes.Cost
	start  time.Time
	took   time.Duration
	labCPU time.Duration
}

func (r *run) sync(ctx context.Context, s modes.Snapshot) (synced, error) {
	var out synced
	err := r.net.Node.Do(func() (err error) {
		before, err := workload.SelfUsage()
		if err != nil {
			return err
		}
		out.start = time.Now()
		out.cost, err = r.mode.Sync(ctx, s)
		out.took = time.Since(out.start)
		if err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		after, err := workload.SelfUsage()
		out.labCPU = after.CPU - before.CPU
		return err
	})
	return out, err
}

// errOver is a Sync that the plan's limit cut off. It has been recorded.
var errOver = errors.New("the limit of one sync is over")

// limited is sync within the plan's limit for one Sync. Beyond it, what was
// measured is a censored sample, with how many rules and objects had been
// written by then, and the error is errOver.
func (r *run) limited(ctx context.Context, snap modes.Snapshot, metric string, more map[string]string) (synced, error) {
	if r.Plan.SyncLimit <= 0 {
		return r.sync(ctx, snap)
	}
	inner, cancel := context.WithTimeout(ctx, r.Plan.SyncLimit)
	defer cancel()
	s, err := r.sync(inner, snap)
	if err == nil || inner.Err() == nil || ctx.Err() != nil {
		return s, err
	}
	r.censored(metric, more, s.took)
	r.record(results.Objects, map[string]string{results.Of: "written until the limit"}, float64(s.cost.Rules+s.cost.Objects))
	return s, errOver
}

// censored records a duration that a limit cut off.
func (r *run) censored(metric string, more map[string]string, took time.Duration) {
	rec := results.Record{
		Metric: metric, Factors: r.factors(more), Trial: r.ID, Round: r.Round,
		Values: []float64{took.Seconds()}, Over: true,
	}
	r.emit(rec)
}

// fullSync programs the whole Snapshot, proves the forwarding, and only then
// records what it took. whole asks for the full proof.
func (r *run) fullSync(ctx context.Context, whole bool) error {
	r.step("program %d services", r.Synth.Services)
	s, err := r.limited(ctx, r.snap, results.SyncFull, nil)
	if err != nil {
		return fmt.Errorf("full sync: %w", err)
	}
	kernel, err := workload.ReadKernelMemory()
	if err != nil {
		return err
	}
	r.step("validate")
	if err := r.validate(whole); err != nil {
		return fmt.Errorf("forwarding is not right, so nothing is timed: %w", err)
	}
	if r.about.Baseline {
		return nil
	}
	r.record(results.SyncFull, nil, s.took.Seconds())
	r.recordCost(s, "")
	grown := kernel.Since(r.kernel0)
	r.record(results.KernelMemory, nil, float64(grown.Total()))
	for kind, n := range grown {
		r.record(results.KernelMemoryPart, map[string]string{results.Kind: kind}, float64(n))
	}
	for of, n := range map[string]int{"rules": s.cost.Rules, "objects": s.cost.Objects, "tool calls": s.cost.ToolCalls, "bytes": s.cost.Bytes} {
		r.record(results.Objects, map[string]string{results.Of: of}, float64(n))
	}
	return nil
}

// recordCost records phases, CPU and memory of a Sync; change is empty for a
// full one.
func (r *run) recordCost(s synced, change string) {
	with := func(k, v string) map[string]string {
		f := map[string]string{k: v}
		if change != "" {
			f[results.Change] = change
		} else {
			f[results.Change] = "full"
		}
		return f
	}
	rest := s.took - s.cost.Total()
	for phase, d := range map[string]time.Duration{"read-back": s.cost.ReadBack, "plan": s.cost.Plan, "start": s.cost.Start, "encode": s.cost.Encode, "commit": s.cost.Commit, "rest": rest} {
		if d != 0 {
			r.record(results.SyncPhase, with(results.Phase, phase), d.Seconds())
		}
	}
	r.record(results.CPUSeconds, with(results.Of, "sync"), (s.labCPU + s.cost.ToolCPU).Seconds())
	if s.cost.ToolPeakRSS > 0 {
		r.record(results.ToolPeakRSS, with(results.Of, "sync"), float64(s.cost.ToolPeakRSS))
	}
}

// deltas times one change of each kind on top of the Snapshot, as often as the
// plan says; the four undo each other.
func (r *run) deltas(ctx context.Context) error {
	if r.about.Baseline {
		return nil
	}
	snap := r.snap
	for i := range r.Plan.Deltas {
		for _, kind := range modes.ChangeKinds() {
			r.step("%s %d of %d", kind, i+1, r.Plan.Deltas)
			next, svc, err := r.Synth.Apply(snap, kind)
			if err != nil {
				return err
			}
			s, err := r.limited(ctx, next, results.SyncDelta, map[string]string{results.Change: kind})
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			snap = next
			if err := r.recordDelta(s, kind, svc); err != nil {
				return fmt.Errorf("after %s: %w", kind, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// correctWithin is how long a changed Service may take to be answered rightly
// before the trial fails.
const correctWithin = 10 * time.Second

func (r *run) recordDelta(s synced, kind string, svc *modes.Service) error {
	change := map[string]string{results.Change: kind}
	if kind == modes.ServiceDelete {
		if err := r.unanswered(front(svc)); err != nil {
			return err
		}
		r.record(results.SyncDelta, change, s.took.Seconds())
		r.recordCost(s, kind)
		return nil
	}
	for {
		from, err := r.ask(r.net.Client, r.prober, modes.TCP, front(svc))
		took := time.Since(s.start)
		if err == nil && r.isRight(svc, from) == nil {
			r.record(results.SyncDelta, change, s.took.Seconds())
			r.record(results.FirstCorrect, change, took.Seconds())
			r.recordCost(s, kind)
			return nil
		}
		if took > s.took+correctWithin {
			return fmt.Errorf("service %s is not answered by a right endpoint within %s: got %s, %v", svc.Key(), correctWithin, from, err)
		}
	}
}
