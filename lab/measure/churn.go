package measure

import (
	"context"
	"fmt"
	"time"

	"viplab/lab/trial"
	"viplab/results"
)

// Churn lets changes arrive at a fixed rate, whether the mode keeps up or not, and
// records how long each waited until it was programmed.
func Churn() trial.Measurement {
	return trial.Measurement{
		Name:   "churn",
		Wanted: func(st *trial.Stage) bool { return st.Serves() && st.Plan.ChurnRate > 0 && st.Plan.Churn > 0 },
		Run:    churn,
	}
}

// bounded is kube-proxy's bounded-frequency runner: the first change after a
// quiet time is handled at once, and then at least Min passes between the end
// of one run and the start of the next.
type bounded struct {
	min  time.Duration
	last time.Duration // end of the last run, from the start
	ran  bool
}

// next is when the next run may start.
func (b *bounded) next(now time.Duration) time.Duration {
	if !b.ran {
		return now
	}
	return max(now, b.last+b.min)
}

func (b *bounded) done(now time.Duration) { b.ran, b.last = true, now }

// pacer is an open-loop schedule: change i arrives at i/rate.
type pacer struct{ rate float64 }

// at is when change i arrives.
func (p pacer) at(i int) time.Duration {
	return time.Duration(float64(i) / p.rate * float64(time.Second))
}

func churn(ctx context.Context, st *trial.Stage) error {
	var (
		start   = time.Now()
		since   = func() time.Duration { return time.Since(start) }
		next    = st.Churn()
		pace    = pacer{st.Plan.ChurnRate}
		total   = int(st.Plan.ChurnRate * st.Plan.Churn.Seconds())
		gate    = bounded{min: st.Plan.MinSync}
		snap    = st.Snapshot
		waiting []time.Duration // arrivals that are not programmed yet
		delays  []float64
		syncs   int
		arrived int
	)
	arrive := func() {
		for ; arrived < total && pace.at(arrived) <= since(); arrived++ {
			snap = next(snap)
			waiting = append(waiting, pace.at(arrived))
		}
	}
	for arrived < total || len(waiting) > 0 {
		if arrive(); len(waiting) == 0 {
			time.Sleep(pace.at(arrived) - since())
			continue
		}
		time.Sleep(gate.next(since()) - since())
		arrive()
		if _, err := st.Sync(ctx, snap); err != nil {
			return fmt.Errorf("sync %d under churn: %w", syncs+1, err)
		}
		gate.done(since())
		syncs++
		for _, at := range waiting {
			delays = append(delays, (since() - at).Seconds())
		}
		waiting = waiting[:0]
	}
	// Back to the Snapshot that the measurements after this one expect.
	if _, err := st.Sync(ctx, st.Snapshot); err != nil {
		return fmt.Errorf("sync after churn: %w", err)
	}
	st.Record(results.ChangeDelay, nil, delays...)
	st.Record(results.Objects, map[string]string{results.Of: "syncs under churn"}, float64(syncs))
	return nil
}
