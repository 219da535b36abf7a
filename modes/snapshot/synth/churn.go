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
	w := c.spec.Width()
	if c.n%5 == 0 {
		if n := len(snap.Services); n > c.spec.Services*w {
			for range w {
				n--
				snap = snap.Without(n)
			}
			return snap
		}
		for _, svc := range c.spec.both(c.spec.Services) {
			snap = snap.With(svc)
		}
		return snap
	}
	at := c.rng.IntN(c.spec.Services) * w
	for _, old := range snap.Services[at : at+w] {
		svc, spec := *old, c.spec
		spec.Family = svc.Family()
		if len(svc.Endpoints) > c.spec.Endpoints {
			svc.Endpoints = slices.Clone(svc.Endpoints[:c.spec.Endpoints])
		} else {
			svc.Endpoints = append(slices.Clone(svc.Endpoints), modes.Endpoint{Addr: spec.SpareEndpoint(c.n)})
		}
		snap = snap.With(&svc)
	}
	return snap
}
