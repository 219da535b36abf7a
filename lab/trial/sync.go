package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/results"
	"viplab/workload"
)

// Synced is one timed Sync, without what of it is the lab's own (the Cost's Apart).
type Synced struct {
	Cost   modes.Cost
	Start  clock.Instant
	Took   time.Duration
	labCPU time.Duration
}

// Sync programs a Snapshot and times it. It does not change what [Stage.Snapshot] is.
func (st *Stage) Sync(ctx context.Context, s modes.Snapshot) (Synced, error) {
	var out Synced
	err := st.Net.Node.Do(func() (err error) {
		before, err := workload.SelfCPU()
		if err != nil {
			return err
		}
		out.Start = clock.Now()
		out.Cost, err = st.Proxier.Sync(ctx, s)
		out.Took = clock.Since(out.Start) - out.Cost.Apart
		if err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		after, err := workload.SelfCPU()
		out.labCPU = after - before
		return err
	})
	return out, err
}

// ErrOver is a Sync that the plan's limit cut off. It has been recorded.
var ErrOver = errors.New("the limit of one sync is over")

// SyncWithin is Sync within the plan's limit for one Sync. Beyond it, what was
// measured is a censored sample, with how many rules and objects had been
// written by then, and the error is ErrOver.
func (st *Stage) SyncWithin(ctx context.Context, snap modes.Snapshot, metric string, more map[string]string) (Synced, error) {
	if st.Plan.SyncLimit <= 0 {
		return st.Sync(ctx, snap)
	}
	inner, cancel := context.WithTimeout(ctx, st.Plan.SyncLimit)
	defer cancel()
	s, err := st.Sync(inner, snap)
	if err == nil || inner.Err() == nil || ctx.Err() != nil {
		return s, err
	}
	st.Censored(metric, more, s.Took)
	st.Record(results.Objects, map[string]string{results.Of: "written until the limit"}, float64(s.Cost.Rules+s.Cost.Objects))
	return s, ErrOver
}

// fullSync programs the whole Snapshot, proves the forwarding, and only then
// records what it took, if it is to be timed. whole asks for the full proof.
func (st *Stage) fullSync(ctx context.Context, whole, timed bool) error {
	st.Step("program the Services")
	var s Synced
	err := st.spend(stepProgram, func() (err error) {
		s, err = st.SyncWithin(ctx, st.Snapshot, results.SyncFull, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("full sync: %w", err)
	}
	kernel, err := workload.ReadKernelMemory()
	if err != nil {
		return err
	}
	st.Step("validate")
	if err := st.spend(stepValidate, func() error { return st.Validate(whole) }); err != nil {
		return fmt.Errorf("forwarding is not right, so nothing is timed: %w", err)
	}
	if !st.Serves() || !timed {
		return nil
	}
	st.Record(results.SyncFull, nil, s.Took.Seconds())
	st.RecordCost(s, "")
	grown := kernel.Since(st.kernel0)
	st.Record(results.KernelMemory, nil, float64(grown.Total()))
	for kind, n := range grown {
		st.Record(results.KernelMemoryPart, map[string]string{results.Kind: kind}, float64(n))
	}
	for of, n := range map[string]int{"rules": s.Cost.Rules, "objects": s.Cost.Objects, "tool calls": s.Cost.ToolCalls, "bytes": s.Cost.Bytes} {
		st.Record(results.Objects, map[string]string{results.Of: of}, float64(n))
	}
	return nil
}

// RecordCost records phases, CPU and memory of a Sync; change is empty for a
// full one.
func (st *Stage) RecordCost(s Synced, change string) {
	with := func(k, v string) map[string]string {
		f := map[string]string{k: v}
		if change != "" {
			f[results.Change] = change
		} else {
			f[results.Change] = "full"
		}
		return f
	}
	rest := s.Took - s.Cost.Total()
	for phase, d := range map[string]time.Duration{
		"read-back": s.Cost.ReadBack, "plan": s.Cost.Plan, "start": s.Cost.Start, "encode": s.Cost.Encode, "commit": s.Cost.Commit,
		"clean-up": s.Cost.CleanUp, "rest": rest,
	} {
		if d != 0 {
			st.Record(results.SyncPhase, with(results.Phase, phase), d.Seconds())
		}
	}
	st.Record(results.CPUSeconds, with(results.Of, "sync"), (s.labCPU + s.Cost.ToolCPU).Seconds())
	if s.Cost.ToolPeakRSS > 0 {
		st.Record(results.ToolPeakRSS, with(results.Of, "sync"), float64(s.Cost.ToolPeakRSS))
	}
}
