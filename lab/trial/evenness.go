package trial

import (
	"context"
	"slices"

	"viplab/results"
)

// evenChoices tells whether every endpoint is meant to have the same share of one
// client's connections.
func (r *run) evenChoices() bool {
	return r.Synth.Affinity == 0 && r.traits.Choice.Even(len(r.Synth.Weights) > 0)
}

// evenness records how even the choice among a Service's endpoints is: the share of
// the busiest over the mean, 1 when all are alike.
func (r *run) evenness(context.Context) error {
	if r.about.Baseline || r.Synth.Endpoints < 2 {
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
