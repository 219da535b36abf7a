// Package rules holds iptables rules as values: tables, chains, rules and
// targets, the text that iptables-restore reads, the edit from one ruleset to
// another, and a tracer that walks a packet through them.
//
// A mode plans a [Ruleset] (pure, golden-tested), [Edit] writes what turns the
// last one into it as text, and iptables-restore commits that.
package rules

import (
	"iter"
	"net/netip"
	"slices"

	"viplab/modes"
)

// Target says what a rule does with a packet that it matches.
type Target uint8

// Targets. Jump goes to the rule's Chain and comes back at its end.
const (
	Jump Target = iota
	Accept
	Drop
	Return
	Reject
	DNAT       // to the rule's To
	Redirect   // to a local port, To's port
	Masquerade // --random-fully
	OrMark     // set the rule's Mark bits
	XorMark    // flip the rule's Mark bits
	Other      // what the rule's Foreign says
)

// Rule is one rule. Zero fields do not match on anything. Rules are comparable
// with ==, which is how an edit finds what changed.
type Rule struct {
	Comment  string
	Src, Dst netip.Prefix
	NotSrc   bool // the source is not in Src
	NotDst   bool // the destination is not in Dst
	Proto    modes.Protocol
	DPort    uint16
	DstLocal bool // -m addrtype --dst-type LOCAL
	SrcLocal bool // -m addrtype --src-type LOCAL
	// Recent is a list of client addresses (-m recent): the rule sets the client,
	// or with Seconds matches one that was set so lately.
	Recent  string
	Seconds uint32
	NotMark uint32 // the packet's mark lacks these bits
	HasMark uint32 // the packet's mark has these bits
	CTState string // -m conntrack --ctstate, for example "NEW"
	// NotCTState is -m conntrack ! --ctstate.
	NotCTState string
	Set        string // -m set --match-set SET SetDirs
	SetDirs    string
	Chance     uint32 // 1/Chance: -m statistic --mode random; 0 and 1: always
	Target     Target
	Chain      string // of Jump
	To         netip.AddrPort
	// Virtual is -m ipvs: the packet belongs to a connection of IPVS's virtual server To,
	// Proto.
	Virtual bool
	Mark    uint32
	// Foreign is what a rule of a real node has beyond all that; nil in rules of modes.
	Foreign *Foreign
}

// Chain is a named list of rules. A Chain is immutable once it stands in a
// Ruleset; an edit takes equal pointers for equal chains.
type Chain struct {
	Name  string
	Rules []Rule
	// Shut is set for a built-in chain whose policy is DROP. No mode sets policies.
	Shut bool
}

// Clone is a copy that nothing else changes.
func (c *Chain) Clone() *Chain {
	return &Chain{Name: c.Name, Rules: slices.Clone(c.Rules), Shut: c.Shut}
}

// Table is one iptables table. Built-in chains (PREROUTING and so on) hold
// only the jumps that a mode adds to them.
type Table struct {
	Name   string
	Chains []*Chain
	// More yields further chains, none of them built in. They are made while
	// they are read, so that a large Ruleset is never held whole: a chain is good until
	// the next one is asked for. May be nil.
	More iter.Seq[*Chain]
	// Names yields the names of the chains that More yields, without the cost
	// of making their rules; needed if More is not nil.
	Names iter.Seq[string]
}

// names yields the name of every chain of the table that is not built in.
func (t Table) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, c := range t.Chains {
			if !BuiltIn(c.Name) && !yield(c.Name) {
				return
			}
		}
		if t.Names != nil {
			t.Names(yield)
		}
	}
}

// All yields every chain of the table; those of More are good until the next one is asked for.
func (t Table) All() iter.Seq[*Chain] {
	return func(yield func(*Chain) bool) {
		for _, c := range t.Chains {
			if !yield(c) {
				return
			}
		}
		if t.More != nil {
			t.More(yield)
		}
	}
}

// Ruleset is all that a mode wants in iptables.
type Ruleset struct {
	Tables []Table
}

// Fixed is the Ruleset without what More yields. Chains can be appended to it
// without changing the original.
func (r Ruleset) Fixed() Ruleset {
	out := Ruleset{Tables: slices.Clone(r.Tables)}
	for i := range out.Tables {
		t := &out.Tables[i]
		t.More, t.Names, t.Chains = nil, nil, slices.Clip(t.Chains)
	}
	return out
}

// AppendChains adds chains to a table.
func (r *Ruleset) AppendChains(table string, chains ...*Chain) {
	for i := range r.Tables {
		if r.Tables[i].Name == table {
			r.Tables[i].Chains = append(r.Tables[i].Chains, chains...)
		}
	}
}

// Count counts the chains that are not built in, and all rules.
func (r Ruleset) Count() (chains, rules int) {
	for _, t := range r.Tables {
		for c := range t.All() {
			rules += len(c.Rules)
			if !BuiltIn(c.Name) {
				chains++
			}
		}
	}
	return chains, rules
}

// BuiltIn tells whether a chain is one of netfilter's hooks.
func BuiltIn(name string) bool {
	switch name {
	case "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING":
		return true
	}
	return false
}
