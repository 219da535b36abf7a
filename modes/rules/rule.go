// Package rules holds iptables rules as values: tables, chains, rules and
// targets, the text that iptables-restore reads, the edit from one ruleset to
// another, and a tracer that walks a packet through them.
//
// A mode plans a [Ruleset] (pure, golden-tested), [Full] or [Edit] turn it
// into text, and iptables-restore commits it.
package rules

import (
	"net/netip"

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
)

// Rule is one rule. Zero fields do not match on anything. Rules are comparable
// with ==, which is how an edit finds what changed.
type Rule struct {
	Comment  string
	Src, Dst netip.Prefix
	NotSrc   bool // the source is not in Src
	Proto    modes.Protocol
	DPort    uint16
	DstLocal bool   // -m addrtype --dst-type LOCAL
	NotMark  uint32 // the packet's mark lacks these bits
	HasMark  uint32 // the packet's mark has these bits
	CTState  string // -m conntrack --ctstate, for example "NEW"
	Set      string // -m set --match-set SET SetDirs
	SetDirs  string
	Chance   uint32 // 1/Chance: -m statistic --mode random; 0 and 1: always
	Target   Target
	Chain    string // of Jump
	To       netip.AddrPort
	Mark     uint32
}

// Chain is a named list of rules. A Chain is immutable once it stands in a
// Ruleset; an edit takes equal pointers for equal chains.
type Chain struct {
	Name  string
	Rules []Rule
}

// Table is one iptables table. Built-in chains (PREROUTING and so on) hold
// only the jumps that a mode adds to them.
type Table struct {
	Name   string
	Chains []*Chain
}

// Ruleset is all that a mode wants in iptables.
type Ruleset struct {
	Tables []Table
}

// Rules counts the rules.
func (r Ruleset) Rules() int {
	n := 0
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			n += len(c.Rules)
		}
	}
	return n
}

// Chains counts the chains that are not built in.
func (r Ruleset) Chains() int {
	n := 0
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			if !BuiltIn(c.Name) {
				n++
			}
		}
	}
	return n
}

// BuiltIn tells whether a chain is one of netfilter's hooks.
func BuiltIn(name string) bool {
	switch name {
	case "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING":
		return true
	}
	return false
}
