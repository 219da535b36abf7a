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
// nil). It touches nothing yet.
func New(dispatch Dispatch, run modes.Runner) *Proxier {
	return &Proxier{planner: Planner{Dispatch: dispatch}, restorer: Restorer{Runner: run}}
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

// Dump implements [modes.Proxier].
func (p *Proxier) Dump(ctx context.Context) (string, error) { return p.restorer.Dump(ctx) }

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	err := p.restorer.Clear()
	p.planner = Planner{Dispatch: p.planner.Dispatch}
	return err
}
