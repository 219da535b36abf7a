package nftables

import (
	"cmp"
	"slices"

	"viplab/modes"
)

// Planner turns Snapshots into Tables. It remembers the last Snapshot and who shares
// what in it, so that planning one change is cheap; the part of a Service is a
// function of the Service and is made when it is needed.
type Planner struct {
	Options

	planned bool
	last    modes.Snapshot
	changes []modes.Change // of the last Delta
	// owners and balancers count who wants what several Services may want.
	owners    owners
	balancers map[balancer]int
	fill      fill
	// ranged is how many Services have source ranges, whose rules depend on the node's
	// address.
	ranged int
}

// owners counts the owners of elements that Services share, by set and key.
type owners map[string]map[string]int32

// change counts some owners more, or less, and says how many there are now.
func (o owners) change(e Element, by int32) int32 {
	set := o[e.In]
	n := set[e.Key] + by
	if n == 0 {
		delete(set, e.Key)
	} else {
		set[e.Key] = n
	}
	return n
}

// standingBalancers is up to which number of endpoints the chains that all Services
// share are there from the start, so that an endpoint more, which is the most frequent
// of changes, is a matter of elements: a chain takes longer, and two commits to delete.
const standingBalancers = 16

// standing are the balancers that the table itself owns.
func standing(l Layout) map[balancer]int {
	out := map[balancer]int{}
	if l == Count || l == Shared {
		for n := range uint32(standingBalancers) {
			out[balancer{n: n + 1, kind: internal}] = 1
		}
	}
	return out
}

// first counts one owner more and says whether it is the first.
func (o owners) first(e Element) bool {
	set := o[e.In]
	before := len(set)
	set[e.Key]++
	return len(set) > before
}

// endpoints is how many endpoints a Snapshot's ports have.
func endpoints(s modes.Snapshot) (n int) {
	for _, svc := range s.Services {
		n += len(svc.Ports) * len(svc.Endpoints)
	}
	return n
}

// Plan makes the Table of a whole Snapshot.
func (p *Planner) Plan(s modes.Snapshot) Table {
	w := writer{Options: p.Options, scope: p.scope(s)}
	t := base(p.Options, w.scope)
	n := endpoints(s)
	p.owners = owners{clusterIPs: make(map[string]int32, len(s.Services)), hairpins: make(map[string]int32, n)}
	p.balancers = standing(p.layout())
	var chains []*Chain
	t.Elements = append(make([]Element, 0, 3*s.Ports()+2*n), t.Elements...)
	for _, svc := range s.Services {
		part := w.partOf(svc, false)
		t.Sets = append(t.Sets, part.sets...)
		chains = append(chains, part.chains...)
		t.Elements = append(t.Elements, part.elements...)
		for _, e := range part.shared {
			if p.owners.first(e) {
				t.Elements = append(t.Elements, e)
			}
		}
		for _, b := range part.balancers {
			p.balancers[b]++
		}
	}
	for _, b := range sorted(p.balancers) {
		t.Chains = append(t.Chains, b.chain(p.Options, w.scope))
		if p.layout() == Count {
			t.Elements = append(t.Elements, b.element())
		}
	}
	t.Chains = append(t.Chains, chains...)
	if p.layout() == Count || p.layout() == Shared {
		p.fill = measure(t)
	}
	p.planned, p.last, p.changes, p.ranged = true, s, nil, 0
	for _, svc := range s.Services {
		p.ranged += ranged(svc)
	}
	return t
}

func sorted(m map[balancer]int) []balancer {
	out := make([]balancer, 0, len(m))
	for b := range m {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b balancer) int { return cmp.Compare(a.number(), b.number()) })
	return out
}

// Delta is the Change from the last Snapshot to another. Where all of a Snapshot matters
// (the Pods' range, settings of the node, a map that is full) everything is written anew.
func (p *Planner) Delta(s modes.Snapshot) *Change {
	changes, ranged := p.changed(s)
	return p.delta(s, changes, ranged)
}

// changed lists the Services that differ from the last Snapshot's, and counts those with
// source ranges. It looks at none that did not change.
func (p *Planner) changed(s modes.Snapshot) (changes []modes.Change, services int) {
	changes, services = modes.Diff(p.last, s), p.ranged
	for _, c := range changes {
		services += ranged(c.New) - ranged(c.Old)
	}
	return changes, services
}

// ranged is 1 for a Service with source ranges, and 0 for others and none.
func ranged(svc *modes.Service) int {
	if svc == nil || len(svc.SourceRanges) == 0 {
		return 0
	}
	return 1
}

// delta is Delta with what changed has found.
func (p *Planner) delta(s modes.Snapshot, changes []modes.Change, ranged int) *Change {
	before, after := p.scope(p.last), p.scope(s)
	if p.ranged == 0 || ranged == 0 {
		before.known = after.known // no rule that stays depends on it
	}
	if !p.planned || before != after {
		return p.anew(s, changes)
	}
	p.last, p.changes, p.ranged = s, changes, ranged
	d := delta{Planner: p, w: writer{Options: p.Options, scope: after}}
	for _, c := range p.changes {
		d.add(c)
	}
	c := d.finish()
	if !p.fill.fits(c) {
		return p.anew(s, changes)
	}
	return c
}

// anew makes the Change that replaces the whole table.
func (p *Planner) anew(s modes.Snapshot, changes []modes.Change) *Change {
	again := p.planned
	t := p.Plan(s)
	p.changes = changes
	return whole(t, again)
}

// delta is a Change in the making.
type delta struct {
	*Planner
	w writer
	Change
	// before is how many owners things had that the Change has touched.
	ownersBefore    map[Element]int32
	balancersBefore map[balancer]int
	touched         []Element // in the order in which they were touched
}

// add adds one Service's change.
func (d *delta) add(c modes.Change) {
	var old, next part
	if c.Old != nil {
		old = d.w.partOf(c.Old, true)
	}
	if c.New != nil {
		next = d.w.partOf(c.New, true)
	}
	del, add := differ(old.elements, next.elements)
	d.DelElements, d.AddElements = append(d.DelElements, del...), append(d.AddElements, add...)
	remade := d.sets(old.sets, next.sets)
	d.chains(old.chains, next.chains, remade)
	d.own(old, -1)
	d.own(next, 1)
}

// own counts the owners of what a part shares with others.
func (d *delta) own(p part, by int) {
	if d.ownersBefore == nil {
		d.ownersBefore, d.balancersBefore = map[Element]int32{}, map[balancer]int{}
	}
	for _, e := range p.shared {
		if _, seen := d.ownersBefore[e]; !seen {
			d.ownersBefore[e] = d.owners.change(e, 0)
			d.touched = append(d.touched, e)
		}
		d.owners.change(e, int32(by))
	}
	for _, b := range p.balancers {
		if _, seen := d.balancersBefore[b]; !seen {
			d.balancersBefore[b] = d.Planner.balancers[b]
		}
		d.Planner.balancers[b] += by
	}
}

// finish adds what is shared and came to its first owner, or lost its last.
func (d *delta) finish() *Change {
	for _, e := range d.touched {
		d.shared(e, d.ownersBefore[e] > 0, d.owners.change(e, 0) > 0)
	}
	for _, b := range sorted(d.balancersBefore) {
		before, now := d.balancersBefore[b] > 0, d.Planner.balancers[b] > 0
		if !now {
			delete(d.Planner.balancers, b)
		}
		if d.layout() == Count {
			d.shared(b.element(), before, now)
		}
		switch {
		case now && !before:
			d.AddChains = append(d.AddChains, b.chain(d.Options, d.w.scope))
		case before && !now:
			d.gone(b.name())
		}
	}
	return &d.Change
}

func (d *delta) shared(e Element, before, now bool) {
	switch {
	case now && !before:
		d.AddElements = append(d.AddElements, e)
	case before && !now:
		d.DelElements = append(d.DelElements, e)
	}
}

// gone takes a chain away.
func (d *delta) gone(chain string) {
	d.EmptyChains, d.DelChains = append(d.EmptyChains, chain), append(d.DelChains, chain)
}

// sets compares a Service's sets by name and says whether one is made anew, since its
// timeout changed.
func (d *delta) sets(old, next []*Set) (remade bool) {
	same := func(a, b *Set) bool { return a.Name == b.Name && a.Timeout == b.Timeout }
	for _, s := range old {
		if !slices.ContainsFunc(next, func(o *Set) bool { return same(o, s) }) {
			d.DelSets = append(d.DelSets, s.Name)
		}
	}
	for _, s := range next {
		if !slices.ContainsFunc(old, func(o *Set) bool { return same(o, s) }) {
			d.AddSets = append(d.AddSets, s)
			remade = remade || slices.Contains(d.DelSets, s.Name)
		}
	}
	return remade
}

// chains compares a Service's chains by name and rules. If one of its sets is made
// anew, so are the rules that name it.
func (d *delta) chains(old, next []*Chain, remade bool) {
	find := func(in []*Chain, name string) *Chain {
		if i := slices.IndexFunc(in, func(c *Chain) bool { return c.Name == name }); i >= 0 {
			return in[i]
		}
		return nil
	}
	for _, c := range old {
		if find(next, c.Name) == nil {
			d.gone(c.Name)
		}
	}
	for _, c := range next {
		was := find(old, c.Name)
		switch {
		case was == nil:
			d.AddChains = append(d.AddChains, c)
		case remade || !sameRules(d.Family, was.Rules, c.Rules):
			d.SetChains = append(d.SetChains, c)
		}
	}
}

func sameRules(f modes.Family, a, b []Rule) bool {
	return slices.EqualFunc(a, b, func(x, y Rule) bool { return x.Text(f) == y.Text(f) })
}

// differ lists the elements that only one of two parts has.
func differ(old, next []Element) (del, add []Element) {
	has := make(map[Element]bool, len(old))
	for _, e := range old {
		has[e] = true
	}
	for _, e := range next {
		if has[e] {
			delete(has, e)
			continue
		}
		add = append(add, e)
	}
	for _, e := range old {
		if has[e] {
			del = append(del, e)
		}
	}
	return del, add
}
