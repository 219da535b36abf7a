package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/packet/conntrack"
	"viplab/modes/packet/node"
)

// Proxier is the mode's [modes.Proxier], of one family.
type Proxier struct {
	Options
	planner Planner
	link    link
	sets    declared // those of the table, by name
	// committed is the last Snapshot that the kernel took.
	committed modes.Snapshot
	cleaner   conntrack.Cleaner
	late      []string // chains that are empty and could not be deleted yet
	made      bool     // the table is there, as far as we know
	broken    bool     // the last Sync failed: nobody knows what is there
}

// New makes a Proxier. It touches nothing yet.
func New(o Options) *Proxier {
	if o.Family == "" {
		o.Family = modes.IPv4
	}
	p := &Proxier{Options: o}
	p.forget()
	return p
}

// forget starts anew.
func (p *Proxier) forget() {
	p.planner = Planner{Options: p.Options}
	p.sets, p.late = declared{}, nil
	p.link.family, p.link.count, p.link.sets = p.Family, p.Counters, p.sets
}

// CountPackets makes the rules that are written from now on count their packets.
func (p *Proxier) CountPackets() { p.Counters, p.link.count = true, true }

// Sync implements [modes.Proxier].
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	start := clock.Now()
	c, s, err := p.plan(s)
	if err != nil {
		return modes.Cost{}, err
	}
	cost := modes.Cost{Plan: clock.Since(start)}
	if !c.Empty() {
		commit, err := p.commit(ctx, c)
		cost.Add(commit)
		if err != nil {
			return cost, err
		}
	}
	p.committed = s
	// A change that leaves the table as it is may leave flows: an endpoint that got no new
	// ones, since it was terminating, goes.
	err = p.cleaner.After(p.planner.changes, s, &cost)
	p.planner.changes = nil
	return cost, err
}

// plan makes the Change to a Snapshot, which it returns with the node's addresses, if they
// matter. To look for Services with source ranges takes longer than the update of one
// Service does, so only those that change are looked at.
func (p *Proxier) plan(s modes.Snapshot) (c *Change, located modes.Snapshot, err error) {
	if p.broken {
		if s, err = node.Located(s, p.Family); err != nil {
			return nil, s, err
		}
		changes := modes.Diff(p.committed, s)
		p.forget()
		c = whole(p.planner.Plan(s), true)
		p.planner.changes = changes
		return c, s, nil
	}
	changes, ranged := p.planner.changed(s)
	if ranged > 0 || !s.Node.AllNodePorts(p.Family) {
		if s, err = node.Located(s, p.Family); err != nil {
			return nil, s, err
		}
	}
	return p.planner.delta(s, changes, ranged), s, nil
}

// commit carries a Change out and remembers how that went.
func (p *Proxier) commit(ctx context.Context, c *Change) (cost modes.Cost, err error) {
	p.remind(c)
	if p.apply() == Tool {
		cost, err = p.feed(ctx, c)
	} else {
		cost, err = p.link.commit(c)
	}
	if busy := (*busyError)(nil); errors.As(err, &busy) {
		p.late, err = busy.chains, nil
	}
	cost.Rules, cost.Objects = c.Rules(), c.Objects()
	p.made, p.broken = true, err != nil
	if err != nil {
		return cost, fmt.Errorf("commit %d rules and %d other objects: %w", cost.Rules, cost.Objects, err)
	}
	return cost, nil
}

// remind adds to a Change the chains that an earlier one could not delete, unless they
// are there again.
func (p *Proxier) remind(c *Change) {
	late := slices.DeleteFunc(p.late, func(name string) bool {
		return slices.ContainsFunc(c.AddChains, func(chain *Chain) bool { return chain.Name == name })
	})
	if p.late = nil; !c.Remove {
		c.DelChains = append(late, c.DelChains...)
	}
}

// feed writes a Change to the nft tool.
func (p *Proxier) feed(ctx context.Context, c *Change) (modes.Cost, error) {
	start := clock.Now()
	change, after := p.sets.transactions(c, p.Family)
	cost := modes.Cost{Encode: clock.Since(start)}
	for i, tx := range []fmt.Stringer{change, after} {
		start := clock.Now()
		text := tx.String()
		cost.Encode += clock.Since(start)
		if text == "" {
			continue
		}
		_, one, err := p.runner().Run(ctx, modes.Text(text), "nft", "-f", "-")
		cost.Add(one)
		switch {
		case err == nil:
		case i > 0 && strings.Contains(err.Error(), "resource busy"):
			return cost, &busyError{c.DelChains}
		case strings.Contains(err.Error(), "Message too long"):
			return cost, &modes.MissingError{Need: "socket buffers large enough for one nft transaction of this size", Mend: "run as root", Err: err}
		default:
			return cost, err
		}
	}
	return cost, nil
}

// Refresh implements [modes.Refresher]: the table is taken away and written anew, in
// one transaction where the socket is large enough.
func (p *Proxier) Refresh(ctx context.Context) (modes.Cost, error) {
	start := clock.Now()
	s := p.planner.last
	p.forget()
	c := whole(p.planner.Plan(s), true)
	cost := modes.Cost{Plan: clock.Since(start)}
	commit, err := p.commit(ctx, c)
	cost.Add(commit)
	return cost, err
}

// Dump implements [modes.Proxier]: the table as read from the kernel.
func (p *Proxier) Dump(context.Context) (string, error) {
	out, err := dump(p.Family, p.sets)
	if err != nil {
		return "", fmt.Errorf("dump table %s %s: %w", network(p.Family), TableName, err)
	}
	return out, nil
}

// Close implements [modes.Proxier]: it deletes the table.
func (p *Proxier) Close() error {
	var err error
	if p.made {
		err = p.remove()
	}
	p.made, p.broken, p.committed, p.cleaner = false, false, modes.Snapshot{}, conntrack.Cleaner{Do: p.cleaner.Do}
	p.forget()
	return errors.Join(err, p.link.close())
}

// remove deletes the table, if it is there.
func (p *Proxier) remove() error {
	if err := p.link.open(); err != nil {
		return err
	}
	e := encoder{family: p.Family, name: TableName}
	e.table(unix.NFT_MSG_NEWTABLE)
	e.table(unix.NFT_MSG_DELTABLE)
	if err := p.link.transact(e.out); err != nil {
		return fmt.Errorf("delete table %s %s: %w", network(p.Family), TableName, err)
	}
	return nil
}
