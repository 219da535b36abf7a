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

// Next makes one change, of a dual-stack Service in both families. The Snapshot must come
// from the Spec and from the changes before.
func (c *Churn) Next(snap modes.Snapshot) modes.Snapshot {
	c.n++
	switch {
	case c.n%5 != 0:
		snap, _ = c.spec.edit(snap, c.rng.IntN(c.spec.Services), func(of Spec, svc *modes.Service) {
			if len(svc.Endpoints) > of.Endpoints {
				svc.Endpoints = slices.Clone(svc.Endpoints[:of.Endpoints])
			} else {
				svc.Endpoints = append(slices.Clone(svc.Endpoints), modes.Endpoint{Addr: of.SpareEndpoint(c.n)})
			}
		})
	case len(snap.Services) > c.spec.Services*c.spec.Width():
		snap, _ = c.spec.gone(snap)
	default:
		snap, _ = c.spec.come(snap)
	}
	return snap
}
