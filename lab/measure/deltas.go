package measure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/clock"
	"viplab/results"
)

// Deltas times single changes on top of the whole Snapshot.
func Deltas() trial.Measurement {
	return trial.Measurement{Name: "deltas", Wanted: func(st *trial.Stage) bool { return st.Serves() && st.Plan.Deltas > 0 }, Run: deltas}
}

// deltas times one change of each kind on top of the Snapshot, as often as the plan says,
// and more often where they are cheap. Each pair of kinds undoes itself; one is done with
// before the next begins, since what follows the clean-up of an endpoint that went finds
// the processor's caches full of conntrack entries.
func deltas(ctx context.Context, st *trial.Stage) error {
	var one time.Duration // of the first change
	for pair := range slices.Chunk(modes.ChangeKinds(), 2) {
		snap, begun := st.Snapshot, clock.Now()
		for i := 0; i < st.Plan.Deltas || i < mostDeltas && clock.Since(begun) < cheapDeltas; i++ {
			for _, kind := range pair {
				if dear(st, kind, one) {
					continue
				}
				st.Step("%s, time %d", kind, i+1)
				next, took, err := delta(ctx, st, snap, kind)
				if err != nil {
					return err
				}
				if snap = next; one == 0 {
					one = took
				}
			}
		}
	}
	return nil
}

// delta times one change of a Snapshot, and returns what it makes of that.
func delta(ctx context.Context, st *trial.Stage, snap modes.Snapshot, kind string) (modes.Snapshot, time.Duration, error) {
	next, svc, err := st.Apply(snap, kind)
	if err != nil {
		return snap, 0, err
	}
	s, err := st.SyncWithin(ctx, next, results.SyncDelta, map[string]string{results.Change: kind})
	if err != nil {
		return snap, 0, fmt.Errorf("%s: %w", kind, err)
	}
	if err := recordDelta(st, s, kind, svc); err != nil {
		return snap, 0, fmt.Errorf("after %s: %w", kind, err)
	}
	return next, s.Took, ctx.Err()
}

const (
	// cheapDeltas is for how long a pair of kinds is made again, at most mostDeltas times: where
	// a change takes a tenth of a millisecond the first one tells more of a processor that had
	// other work before than of what a change costs.
	cheapDeltas = 30 * time.Millisecond
	mostDeltas  = 5
	// dearSync is how long a change takes where the mode writes everything anew, so that one
	// kind of change costs what another does.
	dearSync = 500 * time.Millisecond
	// dearRounds is in how many rounds all kinds are measured nevertheless: enough to see
	// that they are alike, or that they are not.
	dearRounds = 3
)

// dear tells whether a kind of change is left out, because changes take long here and this
// kind has been measured in earlier rounds: Services that come and go stand for all then.
func dear(st *trial.Stage, kind string, one time.Duration) bool {
	return one > dearSync && st.Round >= dearRounds && kind != modes.ServiceAdd && kind != modes.ServiceDelete
}

// correctWithin is how long a changed Service may take to be answered rightly
// before the trial fails.
const correctWithin = 10 * time.Second

func recordDelta(st *trial.Stage, s trial.Synced, kind string, svc *modes.Service) error {
	change := map[string]string{results.Change: kind}
	if kind == modes.ServiceDelete {
		if err := st.Unanswered(trial.Front(svc)); err != nil {
			return err
		}
		st.Record(results.SyncDelta, change, s.Took.Seconds())
		st.RecordCost(s, kind)
		return nil
	}
	home, prober := st.Home()
	for {
		from, err := st.Ask(home, prober, modes.TCP, trial.Front(svc))
		took := clock.Since(s.Start) - s.Cost.Apart
		if err == nil && st.IsRight(svc, from) == nil {
			st.Record(results.SyncDelta, change, s.Took.Seconds())
			st.Record(results.FirstCorrect, st.AtHome(change), took.Seconds())
			st.RecordCost(s, kind)
			return nil
		}
		if took > s.Took+correctWithin {
			return fmt.Errorf("service %s is not answered by a right endpoint within %s: got %s, %v", svc.Key(), correctWithin, from, err)
		}
	}
}
