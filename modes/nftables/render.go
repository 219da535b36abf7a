package nftables

import (
	"cmp"
	"fmt"

	"sigs.k8s.io/knftables"

	"viplab/modes"
)

// Text is a Table as the nft commands that make it.
func (t Table) Text() string {
	made := declared{}
	add, _ := made.transactions(whole(t, false), t.Family)
	return add.String()
}

// declared remembers the sets of a table, since text has to say what an element is of.
type declared map[string]*Set

// transactions is a Change as commands of the nft tool: what changes the table, and what
// has to wait until that is committed.
func (d declared) transactions(c *Change, f modes.Family) (change, after *knftables.Transaction) {
	// The fake is the only one of the library's tables that does not start the tool.
	empty := knftables.NewFake(family(f), TableName)
	change, after = empty.NewTransaction(), empty.NewTransaction()
	if c.Remove {
		change.Add(&knftables.Table{})
		change.Delete(&knftables.Table{})
	}
	if c.Create {
		change.Add(&knftables.Table{Comment: knftables.PtrTo("rules for kube-proxy")})
	}
	for _, e := range c.DelElements {
		change.Delete(d.element(e, f))
	}
	for _, name := range c.EmptyChains {
		change.Flush(&knftables.Chain{Name: name})
	}
	for _, chain := range c.SetChains {
		change.Flush(&knftables.Chain{Name: chain.Name})
	}
	for _, name := range c.DelSets {
		change.Delete(&knftables.Set{Name: name})
	}
	for _, s := range c.AddSets {
		d[s.Name] = s
		change.Add(s.object(f))
	}
	for _, chain := range c.AddChains {
		change.Add(chain.object())
	}
	for _, list := range [][]*Chain{c.AddChains, c.SetChains} {
		for _, chain := range list {
			for _, r := range chain.Rules {
				change.Add(&knftables.Rule{Chain: chain.Name, Rule: r.Text(f)})
			}
		}
	}
	for _, e := range c.AddElements {
		change.Add(d.element(e, f))
	}
	for _, name := range c.DelChains {
		after.Delete(&knftables.Chain{Name: name})
	}
	return change, after
}

func family(f modes.Family) knftables.Family {
	if f == modes.IPv6 {
		return knftables.IPv6Family
	}
	return knftables.IPv4Family
}

// object is the chain as the library has it.
func (c *Chain) object() *knftables.Chain {
	out := &knftables.Chain{Name: c.Name}
	if h := c.Hook; h != nil {
		out.Type = knftables.PtrTo(knftables.BaseChainType(h.Type))
		out.Hook = knftables.PtrTo(knftables.BaseChainHook(h.Point.String()))
		out.Priority = knftables.PtrTo(knftables.BaseChainPriority(fmt.Sprint(h.Priority)))
	}
	return out
}

// object is the set or map as the library has it. A key with a slot needs an example
// of the expression, since its type has no name.
func (s *Set) object(f modes.Family) knftables.Object {
	kind, example := s.Key.types(f), ""
	switch s.Value {
	case NoValue:
		out := &knftables.Set{Name: s.Name, Type: kind}
		if s.Timeout > 0 {
			out.Flags = []knftables.SetFlag{knftables.DynamicFlag, knftables.TimeoutFlag}
			out.Timeout = &s.Timeout
		}
		out.Size = s.limit()
		return out
	case Verdicts:
		kind += " : verdict"
	case Numbers:
		kind += " : mark"
	case Targets:
		kind += " : " + addressType(f) + " . inet_service"
		example = s.Key.text(f) + " : " + network(f) + " daddr . " + string(cmp.Or(s.Protocol, modes.TCP)) + " dport"
	}
	if s.slots() {
		return &knftables.Map{Name: s.Name, TypeOf: example, Size: s.limit()}
	}
	return &knftables.Map{Name: s.Name, Type: kind, Size: s.limit()}
}

// limit is the set's size as the library has it: nil for none.
func (s *Set) limit() *uint64 {
	if s.Size == 0 {
		return nil
	}
	return knftables.PtrTo(uint64(s.Size))
}

// element is the element as the library has it.
func (d declared) element(e Element, f modes.Family) *knftables.Element {
	s := d[e.In]
	out := &knftables.Element{Key: s.Key.words(f, e.Key)}
	if s.Value == NoValue {
		out.Set = e.In
		return out
	}
	out.Map, out.Value = e.In, e.value(s.Value)
	return out
}
