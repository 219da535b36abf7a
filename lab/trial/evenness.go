package trial

import (
	"context"
	"slices"

	"viplab/modes/catalog"
	"viplab/results"
)

// evenChoices tells whether every endpoint is meant to have the same share of one
// client's connections. Affinity and most schedulers send a client, or a VIP, to one
// endpoint, or go by connections that are open at the same time.
func (r *run) evenChoices() bool {
	switch {
	case r.Synth.Affinity > 0:
		return false
	case r.Scheduler == "wrr":
		return len(r.Synth.Weights) == 0
	}
	return r.Scheduler == "" || r.Scheduler == "rr"
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
