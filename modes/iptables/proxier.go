package iptables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"viplab/modes"
	"viplab/modes/conntrack"
)

// Proxier is the mode's [modes.Proxier].
type Proxier struct {
	planner  Planner
	restorer Restorer
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

// Sync implements [modes.Proxier].
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	cost, err := p.sync(ctx, s)
	if err != nil || !p.planner.loopback || p.localnet != "" {
		return cost, err
	}
	before, err := os.ReadFile(routeLocalnet)
	if err == nil {
		err = os.WriteFile(routeLocalnet, []byte("1"), 0)
	}
	if err != nil {
		return cost, fmt.Errorf("route loopback addresses for node ports: %w", err)
	}
	p.localnet = strings.TrimSpace(string(before))
	return cost, nil
}

func (p *Proxier) sync(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
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
	if err != nil {
		return cost, err
	}
	start = time.Now()
	n, err := conntrack.CleanUp(p.planner.changes)
	p.planner.changes = nil
	cost.Objects += n
	cost.Commit += time.Since(start)
	return cost, err
}

// Refresh implements [modes.Refresher].
func (p *Proxier) Refresh(ctx context.Context) (modes.Cost, error) { return p.restorer.Refresh(ctx) }

// Dump implements [modes.Proxier].
func (p *Proxier) Dump(ctx context.Context) (string, error) { return p.restorer.Dump(ctx) }

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	err := p.restorer.Clear()
	if p.localnet != "" {
		err = errors.Join(err, os.WriteFile(routeLocalnet, []byte(p.localnet), 0))
		p.localnet = ""
	}
	p.planner = Planner{Dispatch: p.planner.Dispatch, Family: p.planner.Family}
	return err
}
