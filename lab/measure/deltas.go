package measure

import (
	"context"
	"fmt"
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

// deltas times one change of each kind on top of the Snapshot, as often as the
// plan says; the four undo each other.
func deltas(ctx context.Context, st *trial.Stage) error {
	snap := st.Snapshot
	var one time.Duration // of the first change
	for i := range st.Plan.Deltas {
		for _, kind := range modes.ChangeKinds() {
			if dear(st, kind, one) {
				continue
			}
			st.Step("%s %d of %d", kind, i+1, st.Plan.Deltas)
			next, svc, err := st.Apply(snap, kind)
			if err != nil {
				return err
			}
			s, err := st.SyncWithin(ctx, next, results.SyncDelta, map[string]string{results.Change: kind})
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			if snap = next; one == 0 {
				one = s.Took
			}
			if err := recordDelta(st, s, kind, svc); err != nil {
				return fmt.Errorf("after %s: %w", kind, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

const (
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
			st.Record(results.FirstCorrect, change, took.Seconds())
			st.RecordCost(s, kind)
			return nil
		}
		if took > s.Took+correctWithin {
			return fmt.Errorf("service %s is not answered by a right endpoint within %s: got %s, %v", svc.Key(), correctWithin, from, err)
		}
	}
}
