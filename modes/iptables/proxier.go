package iptables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/packet/conntrack"
	"viplab/modes/packet/node"
)

// Proxier is the mode's [modes.Proxier].
type Proxier struct {
	planner  Planner
	restorer Restorer
	cleaner  conntrack.Cleaner
	localnet string // what routeLocalnet was, empty if it was not touched
}

// routeLocalnet lets packets with loopback addresses leave the node, which node ports
// at 127.0.0.1 need before their source is replaced. KUBE-FIREWALL keeps others out.
const routeLocalnet = "/proc/sys/net/ipv4/conf/all/route_localnet"

// New makes a Proxier whose KUBE-SERVICES is laid out by dispatch ([Linear] if
// nil), and that writes through a Restorer set up like the given one. It touches
// nothing yet.
func New(dispatch Dispatch, r Restorer) *Proxier {
	return &Proxier{planner: Planner{Dispatch: dispatch, Family: r.Family}, restorer: r}
}

// Probe implements [modes.Proxier].
func (p *Proxier) Probe(ctx context.Context) error { return p.restorer.Probe(ctx) }

// Sync implements [modes.Proxier]. An error of the clean-up of conntrack comes after the
// rules are committed: the next Sync looks for the same entries again.
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	s, err := node.Located(s, p.planner.family())
	if err != nil {
		return modes.Cost{}, err
	}
	before := p.planner
	cost, err := p.program(ctx, s)
	if err != nil {
		// The next delta starts from what the kernel holds.
		p.planner = before
		return cost, err
	}
	err = p.cleaner.After(modes.Diff(before.last, s), s, &cost)
	return cost, errors.Join(err, p.routeLoopback(p.planner.loopback))
}

// routeLoopback lets packets with loopback addresses leave the node, or puts that back to
// what it was.
func (p *Proxier) routeLoopback(on bool) error {
	switch {
	case on && p.localnet == "":
		before, err := os.ReadFile(routeLocalnet)
		if err == nil {
			err = os.WriteFile(routeLocalnet, []byte("1"), 0)
		}
		if err != nil {
			return fmt.Errorf("route loopback addresses for node ports: %w", err)
		}
		p.localnet = strings.TrimSpace(string(before))
	case !on && p.localnet != "":
		if err := os.WriteFile(routeLocalnet, []byte(p.localnet), 0); err != nil {
			return fmt.Errorf("route loopback addresses no more: %w", err)
		}
		p.localnet = ""
	}
	return nil
}

// program has the kernel hold the rules of a Snapshot.
func (p *Proxier) program(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	start := clock.Now()
	var cost, commit modes.Cost
	var err error
	if !p.planner.planned {
		next := p.planner.Plan(s)
		cost.Plan = clock.Since(start)
		commit, err = p.restorer.Commit(ctx, next)
	} else {
		old, next, whole := p.planner.Delta(p.restorer.Current(), s)
		cost.Plan = clock.Since(start)
		commit, err = p.restorer.CommitPart(ctx, old, next, whole)
	}
	cost.Add(commit)
	return cost, err
}

// Refresh implements [modes.Refresher].
func (p *Proxier) Refresh(ctx context.Context) (modes.Cost, error) { return p.restorer.Refresh(ctx) }

// Dump implements [modes.Proxier].
func (p *Proxier) Dump(ctx context.Context) (string, error) { return p.restorer.Dump(ctx) }

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	err := errors.Join(p.restorer.Clear(), p.routeLoopback(false))
	p.planner, p.cleaner = Planner{Dispatch: p.planner.Dispatch, Family: p.planner.Family}, conntrack.Cleaner{Do: p.cleaner.Do}
	return err
}

// Leave implements [modes.Leaver]: everything is the namespace's.
func (p *Proxier) Leave() error { return nil }
