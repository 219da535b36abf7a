package iptables

import (
	"context"
	"time"

	"viplab/modes"
)

// Proxier is the mode's [modes.Proxier].
type Proxier struct {
	planner  Planner
	restorer Restorer
}

// New makes a Proxier whose KUBE-SERVICES is laid out by dispatch ([Linear] if
// nil), and that writes through a Restorer set up like the given one. It touches
// nothing yet.
func New(dispatch Dispatch, r Restorer) *Proxier {
	return &Proxier{planner: Planner{Dispatch: dispatch}, restorer: r}
}

// Probe implements [modes.Proxier].
func (p *Proxier) Probe(ctx context.Context) error { return p.restorer.Probe(ctx) }

// Sync implements [modes.Proxier].
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	start := time.Now()
	var cost, commit modes.Cost
	var err error
	if !p.planner.planned {
		next := p.planner.Plan(s)
		cost.Plan = time.Since(start)
		commit, err = p.restorer.Commit(ctx, next)
	} else {
		old, next, whole := p.planner.Delta(p.restorer.Current(), s)
		cost.Plan = time.Since(start)
		commit, err = p.restorer.CommitPart(ctx, old, next, whole)
	}
	cost.Add(commit)
	return cost, err
}

// SetStrategy changes how further updates are written.
func (p *Proxier) SetStrategy(s Strategy) { p.restorer.Strategy = s }

// Refresh implements [modes.Refresher].
func (p *Proxier) Refresh(ctx context.Context) (modes.Cost, error) { return p.restorer.Refresh(ctx) }

// Dump implements [modes.Proxier].
func (p *Proxier) Dump(ctx context.Context) (string, error) { return p.restorer.Dump(ctx) }

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	err := p.restorer.Clear()
	p.planner = Planner{Dispatch: p.planner.Dispatch}
	return err
}
