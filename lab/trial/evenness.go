package trial

import (
	"context"
	"slices"

	"viplab/modes/catalog"
	"viplab/results"
)

// evenChoices tells whether a scheduler is meant to give every real server the same
// share of one client's connections. The others send a client, or a VIP, to one
// server, or go by connections that are open at the same time.
func evenChoices(scheduler string) bool {
	return scheduler == "" || scheduler == "rr" || scheduler == "wrr"
}

// evenness records how even the choice among a Service's endpoints is: the share of
// the busiest over the mean, 1 when all are alike.
func (r *run) evenness(context.Context) error {
	if r.Mode == catalog.Direct || r.Synth.Endpoints < 2 || r.Scheduler == "" {
		return nil
	}
	svc := r.service((r.count() - 1) / 2)
	n := asksPerEndpoint * len(svc.Endpoints)
	seen, err := r.choices(svc, n)
	if err != nil {
		return err
	}
	r.record(results.Evenness, nil, slices.Max(seen)*float64(len(svc.Endpoints))/float64(n))
	return nil
}
