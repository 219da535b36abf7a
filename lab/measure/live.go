package measure

import (
	"context"
	"fmt"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// Live runs a steady open-loop client while everything is written again and again, as by
// a proxy with a short sync period.
func Live() trial.Measurement {
	return trial.Measurement{Name: "live traffic beside full syncs", Wanted: func(st *trial.Stage) bool { return st.Plan.Live > 0 }, Run: live}
}

// Live traffic: a steady client beside periodic full syncs.
const (
	liveRate    = 200 // connections a second, well below what any mode can do
	liveWorkers = 8
	liveBin     = 100 * time.Millisecond
	// liveQuiet is the time before the first full sync, and between the end
	// of one and the start of the next.
	liveQuiet = time.Second
)

func live(ctx context.Context, st *trial.Stage) error {
	inner, stop := context.WithTimeout(ctx, st.Plan.Live)
	defer stop()
	refreshed := make(chan error, 1)
	var took []float64
	go func() { refreshed <- refreshEvery(inner, st, &took) }()
	home, _ := st.Home()
	requests, err := workload.Steady(ctx, st.RandomTargets(), liveRate, workload.Workers{From: liveWorkers, Most: liveWorkers}, st.Plan.Live, home.Go)
	stop()
	if rerr := <-refreshed; rerr != nil {
		return fmt.Errorf("full sync beside traffic: %w", rerr)
	}
	if err != nil {
		return err
	}
	st.Record(results.RefreshSeconds, nil, took...)
	recordLive(st, requests)
	return nil
}

// refreshEvery writes everything again until the context ends. The one that is
// under way then is finished, so that the mode stays in order.
func refreshEvery(ctx context.Context, st *trial.Stage, took *[]float64) error {
	m, ok := st.Proxier.(modes.Refresher)
	for ok {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(liveQuiet):
		}
		start := time.Now()
		err := st.Net.Node.Do(func() error {
			_, err := m.Refresh(context.WithoutCancel(ctx))
			return err
		})
		if err != nil {
			return err
		}
		*took = append(*took, time.Since(start).Seconds())
	}
	return nil
}

// recordLive turns requests into rates by bin, latencies, the longest time
// without an answer, and how many were lost.
func recordLive(st *trial.Stage, requests []workload.Request) {
	bins := make([]float64, int(st.Plan.Live/liveBin))
	var latencies, service []float64
	lost := 0
	answered := make([]bool, int(st.Plan.Live/time.Millisecond)+1)
	for _, q := range requests {
		if q.Err != nil {
			lost++
			continue
		}
		latencies = append(latencies, q.Latency().Seconds())
		service = append(service, (q.Done - q.Sent).Seconds())
		if i := int(q.Done / liveBin); i < len(bins) {
			bins[i] += 1 / liveBin.Seconds()
		}
		if i := int(q.Done / time.Millisecond); i < len(answered) {
			answered[i] = true
		}
	}
	stall, gap := 0, 0
	for _, a := range answered {
		gap++
		if a {
			gap = 0
		}
		stall = max(stall, gap)
	}
	home := st.AtHome(nil)
	st.Record(results.TPS, home, bins...)
	st.Record(results.LiveLatency, home, latencies...)
	st.Record(results.LiveService, home, service...)
	st.Record(results.LiveStall, home, float64(stall)/1000)
	st.Record(results.LiveLost, home, float64(lost))
}
