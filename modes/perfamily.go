package modes

import (
	"context"
	"errors"
	"slices"
)

// byFamily is a [Proxier] made of one for each address family, as the real kube-proxy
// has it, since iptables, ipsets and virtual servers of IPv4 and IPv6 are separate
// things in the kernel.
type byFamily struct {
	parts []familyPart
}

type familyPart struct {
	family Family
	Proxier
}

// perFamily makes a Proxier out of one of each family that there is to be. Each is
// given the part of a Snapshot that is of its family.
func perFamily(f Family, one func(Family) Proxier) *byFamily {
	p := &byFamily{}
	for _, family := range f.Parts() {
		p.parts = append(p.parts, familyPart{family, one(family)})
	}
	return p
}

// Probe implements [Proxier].
func (p *byFamily) Probe(ctx context.Context) error {
	for _, one := range p.parts {
		if err := one.Probe(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Sync implements [Proxier]: first IPv4, then IPv6.
func (p *byFamily) Sync(ctx context.Context, s Snapshot) (cost Cost, err error) {
	for _, one := range p.parts {
		c, err := one.Sync(ctx, s.Of(one.family))
		cost.Add(c)
		if err != nil {
			return cost, err
		}
	}
	return cost, nil
}

// Refresh implements [Refresher].
func (p *byFamily) Refresh(ctx context.Context) (cost Cost, err error) {
	for _, one := range p.parts {
		r, ok := one.Proxier.(Refresher)
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

// ProcessIDs implements [ProcessReporter].
func (p *byFamily) ProcessIDs() (ids []int) {
	for _, one := range p.parts {
		if r, ok := one.Proxier.(ProcessReporter); ok {
			ids = append(ids, r.ProcessIDs()...)
		}
	}
	return ids
}

// Dump implements [Proxier].
func (p *byFamily) Dump(ctx context.Context) (string, error) {
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

// Close implements [Proxier]: in the opposite order, because both remember
// the sysctls that they met.
func (p *byFamily) Close() error {
	var errs []error
	for _, one := range slices.Backward(p.parts) {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// Leave implements [Leaver].
func (p *byFamily) Leave() error {
	var errs []error
	for _, one := range slices.Backward(p.parts) {
		errs = append(errs, Leave(one.Proxier))
	}
	return errors.Join(errs...)
}

// PartFor is the part of a Proxier that serves a family: the Proxier itself, unless it
// is made of one for each. Abilities beside those of [Proxier] are asked of the part.
func PartFor(p Proxier, f Family) Proxier {
	all, ok := p.(*byFamily)
	if !ok {
		return p
	}
	for _, one := range all.parts {
		if one.family == f {
			return one.Proxier
		}
	}
	return p
}
