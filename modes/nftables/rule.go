package nftables

import (
	"fmt"
	"net/netip"
	"strings"

	"viplab/modes"
)

// Rule does something with the packets for which all its matches hold.
type Rule struct {
	If []Match
	Do []Statement
}

// Match is one condition of a rule. The kinds are those below: what is not among
// them, the mode does not write, and no tracer has to guess.
type Match interface {
	text(modes.Family) string
	compile(*compiler)
	holds(*walk) bool
}

// Statement is one thing that a rule does.
type Statement interface {
	text(modes.Family) string
	compile(*compiler)
	run(*walk) (Verdict, string)
}

// Text is the rule as nft spells it.
func (r Rule) Text(f modes.Family) string {
	words := make([]string, 0, len(r.If)+len(r.Do))
	for _, m := range r.If {
		words = append(words, m.text(f))
	}
	for _, s := range r.Do {
		words = append(words, s.text(f))
	}
	return strings.Join(words, " ")
}

// Matches.
type (
	// NewFlow holds for the first packets of flows.
	NewFlow struct{}
	// Translated holds where the destination was rewritten.
	Translated struct{}
	// InPrefix holds where an address is in a range, or, with Not, is not.
	InPrefix struct {
		Field  Field
		Prefix netip.Prefix
		Not    bool
	}
	// InRanges is the same for several ranges.
	InRanges struct {
		Field  Field
		Ranges []netip.Prefix
		Not    bool
	}
	// InSet holds where a key is in a set.
	InSet struct {
		Key Key
		Set string
	}
	// IsLocal holds where an address is the node's own.
	IsLocal struct{ Field Field }
	// IsProtocol holds for a transport protocol.
	IsProtocol modes.Protocol
	// Marked holds where one of these bits of the mark is set.
	Marked uint32
)

func (NewFlow) text(modes.Family) string    { return "ct state new" }
func (Translated) text(modes.Family) string { return "ct status dnat" }

func (m InPrefix) text(f modes.Family) string {
	to := m.Prefix.String()
	if m.Prefix.IsSingleIP() {
		to = m.Prefix.Addr().String()
	}
	return Key{Fields: []Field{m.Field}}.text(f) + " " + not(m.Not) + to
}

func (m InRanges) text(f modes.Family) string {
	var list []string
	for _, p := range m.Ranges {
		list = append(list, p.String())
	}
	return Key{Fields: []Field{m.Field}}.text(f) + " " + not(m.Not) + "{ " + strings.Join(list, ", ") + " }"
}

func not(n bool) string {
	if n {
		return "!= "
	}
	return ""
}

func (m InSet) text(f modes.Family) string { return m.Key.text(f) + " @" + m.Set }

func (m IsLocal) text(modes.Family) string {
	if m.Field == Src {
		return "fib saddr type local"
	}
	return "fib daddr type local"
}

func (m IsProtocol) text(modes.Family) string { return "meta l4proto " + string(m) }

func (m Marked) text(modes.Family) string { return fmt.Sprintf("mark and %#x != 0", uint32(m)) }

// Verdict ends a chain, or goes on in another. It is also the value of a map.
type Verdict struct {
	Kind  VerdictKind
	Chain string
}

// VerdictKind is what becomes of the packet.
type VerdictKind uint8

// Kinds of verdicts. Continue is none: the next rule.
const (
	Continue VerdictKind = iota
	Accept
	Drop
	Jump
	Goto
)

func jump(chain string) Verdict { return Verdict{Jump, chain} }
func goTo(chain string) Verdict { return Verdict{Goto, chain} }

// String is the verdict as nft spells it.
func (v Verdict) String() string {
	name := [...]string{"continue", "accept", "drop", "jump", "goto"}[v.Kind]
	if v.Chain != "" {
		name += " " + v.Chain
	}
	return name
}

func (v Verdict) text(modes.Family) string { return v.String() }
