package nftables

import (
	"cmp"
	"maps"
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
	w      writer
}

// owners counts the owners of elements that Services share, by set and key.
type owners map[string]map[string]int32

// first counts one owner more and says whether it is the first.
func (o owners) first(e Element) bool {
	set := o[e.In]
	before := len(set)
	set[e.Key]++
	return len(set) > before
}

// last counts one owner less and says whether it was the last.
func (o owners) last(e Element) bool {
	set := o[e.In]
	if set[e.Key]--; set[e.Key] != 0 {
		return false
	}
	delete(set, e.Key)
	return true
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

// endpoints is how many endpoints a Snapshot's ports have.
func endpoints(s modes.Snapshot) (n int) {
	for _, svc := range s.Services {
		n += len(svc.Ports) * len(svc.Endpoints)
	}
	return n
}

// Plan makes the Table of a whole Snapshot.
func (p *Planner) Plan(s modes.Snapshot) Table {
	w := &p.w
	w.Options, w.scope = p.Options, p.scope(s)
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
	for _, b := range inOrder(slices.Collect(maps.Keys(p.balancers))) {
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

func inOrder(list []balancer) []balancer {
	slices.SortFunc(list, func(a, b balancer) int { return cmp.Compare(a.number(), b.number()) })
	return list
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
	p.w.Options, p.w.scope = p.Options, after
	d := delta{Planner: p}
	for _, c := range p.changes {
		d.add(c)
	}
	d.share()
	if !p.fill.fits(&d.Change) {
		return p.anew(s, changes)
	}
	return &d.Change
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
	Change
	old, next []part // of the Services that change
}

// add adds one Service's change, but for what it shares with others.
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
	d.old, d.next = append(d.old, old), append(d.next, next)
}

// share adds what is shared and comes to its first owner, or loses its last. New owners
// are counted before those that are gone, so that nothing that is handed on goes and
// comes again.
func (d *delta) share() {
	var come, gone []balancer
	for _, p := range d.next {
		for _, e := range p.shared {
			if d.owners.first(e) {
				d.AddElements = append(d.AddElements, e)
			}
		}
		for _, b := range p.balancers {
			if d.balancers[b]++; d.balancers[b] == 1 {
				come = append(come, b)
			}
		}
	}
	for _, p := range d.old {
		for _, e := range p.shared {
			if d.owners.last(e) {
				d.DelElements = append(d.DelElements, e)
			}
		}
		for _, b := range p.balancers {
			if d.balancers[b]--; d.balancers[b] == 0 {
				delete(d.balancers, b)
				gone = append(gone, b)
			}
		}
	}
	d.balance(come, gone)
}

// balance adds the chains that come and takes those away that go.
func (d *delta) balance(come, gone []balancer) {
	for _, b := range inOrder(come) {
		if d.layout() == Count {
			d.AddElements = append(d.AddElements, b.element())
		}
		d.AddChains = append(d.AddChains, b.chain(d.Options, d.w.scope))
	}
	for _, b := range inOrder(gone) {
		if d.layout() == Count {
			d.DelElements = append(d.DelElements, b.element())
		}
		d.gone(b.name())
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
	if len(old) == 0 || len(next) == 0 {
		return old, next
	}
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
