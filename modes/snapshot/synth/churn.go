package synth

import (
	"math/rand/v2"
	"slices"

	"viplab/modes"
)

// Churn makes an endless series of changes, the same for the same seed: mostly
// an endpoint that comes to or goes from a random Service, every fifth time a
// Service that comes or goes at the end.
type Churn struct {
	spec Spec
	rng  *rand.Rand
	n    int
}

// NewChurn starts a series for Snapshots of this Spec.
func NewChurn(s Spec, seed uint64) *Churn {
	return &Churn{spec: s, rng: rand.New(rand.NewPCG(s.Seed, seed))}
}

// Next makes one change. The Snapshot must come from the Spec and from the
// changes before.
func (c *Churn) Next(snap modes.Snapshot) modes.Snapshot {
	c.n++
	if c.n%5 == 0 {
		if len(snap.Services) > c.spec.Services {
			return snap.Without(len(snap.Services) - 1)
		}
		return snap.With(c.spec.Service(c.spec.Services))
	}
	svc := *snap.Services[c.rng.IntN(c.spec.Services)]
	if len(svc.Endpoints) > c.spec.Endpoints {
		svc.Endpoints = slices.Clone(svc.Endpoints[:c.spec.Endpoints])
	} else {
		svc.Endpoints = append(slices.Clone(svc.Endpoints), modes.Endpoint{Addr: c.spec.SpareEndpoint(c.n)})
	}
	return snap.With(&svc)
}
