// Package dual programs Services of both address families: one Proxier for each, as
// the real kube-proxy has it, since iptables, ipsets and virtual servers of IPv4 and
// IPv6 are separate things in the kernel.
package dual

import (
	"context"
	"errors"
	"slices"

	"viplab/modes"
)

// Proxier is a [modes.Proxier] made of one for each family.
type Proxier struct {
	parts []part
}

type part struct {
	family modes.Family
	modes.Proxier
}

// New makes a Proxier out of one of each family that there is to be. Each is given
// the part of a Snapshot that is of its family.
func New(f modes.Family, one func(modes.Family) modes.Proxier) *Proxier {
	p := &Proxier{}
	for _, family := range f.Parts() {
		p.parts = append(p.parts, part{family, one(family)})
	}
	return p
}

// Probe implements [modes.Proxier].
func (p *Proxier) Probe(ctx context.Context) error {
	for _, one := range p.parts {
		if err := one.Probe(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Sync implements [modes.Proxier]: first IPv4, then IPv6.
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (cost modes.Cost, err error) {
	for _, one := range p.parts {
		c, err := one.Sync(ctx, s.Of(one.family))
		cost.Add(c)
		if err != nil {
			return cost, err
		}
	}
	return cost, nil
}

// Refresh implements [modes.Refresher].
func (p *Proxier) Refresh(ctx context.Context) (cost modes.Cost, err error) {
	for _, one := range p.parts {
		r, ok := one.Proxier.(modes.Refresher)
		if !ok {
			continue
		}
		c, err := r.Refresh(ctx)
		cost.Add(c)
		if err != nil {
			return cost, err
		}
	}
	return cost, nil
}

// ProcessIDs implements [modes.ProcessReporter].
func (p *Proxier) ProcessIDs() (ids []int) {
	for _, one := range p.parts {
		if r, ok := one.Proxier.(modes.ProcessReporter); ok {
			ids = append(ids, r.ProcessIDs()...)
		}
	}
	return ids
}

// Dump implements [modes.Proxier].
func (p *Proxier) Dump(ctx context.Context) (string, error) {
	out := ""
	for _, one := range p.parts {
		text, err := one.Dump(ctx)
		if err != nil {
			return out, err
		}
		out += "# " + string(one.family) + "\n" + text
	}
	return out, nil
}

// Close implements [modes.Proxier]: in the opposite order, because both remember
// the sysctls that they met.
func (p *Proxier) Close() error {
	var errs []error
	for _, one := range slices.Backward(p.parts) {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}
