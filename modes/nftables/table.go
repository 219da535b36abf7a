package nftables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"viplab/modes"
)

// Table is one family's table: all that the mode puts into the kernel.
type Table struct {
	Family modes.Family
	// Sets are those with names: sets and maps.
	Sets []*Set
	// Chains in the order in which they are made.
	Chains   []*Chain
	Elements []Element
}

// Hook is where the kernel hands packets to a base chain.
type Hook struct {
	Point    HookPoint
	Type     string // "filter" or "nat"
	Priority int    // lower ones are walked first
}

// HookPoint is one of netfilter's hooks, with the kernel's number.
type HookPoint uint32

// Hooks of the ip and ip6 families.
const (
	Prerouting HookPoint = iota
	Input
	Forward
	Output
	Postrouting
)

// String is the hook's name in nft.
func (h HookPoint) String() string {
	return [...]string{"prerouting", "input", "forward", "output", "postrouting"}[h]
}

// Chain is a list of rules. Base chains have a Hook.
type Chain struct {
	Name  string
	Hook  *Hook
	Rules []Rule
}

// Value is what a map holds.
type Value uint8

// Values. A plain set has none.
const (
	NoValue Value = iota
	Verdicts
	Numbers
	Targets // an address and a port
)

// Set is a named set, or a map.
type Set struct {
	Name  string
	Key   Key
	Value Value
	// Timeout makes the set dynamic: rules add to it, and elements leave it after
	// that time.
	Timeout time.Duration
	// Size is the most elements that the set may have, 0 for no limit.
	Size uint32
	// Protocol is set where the tool needs a map for each, see [Tool].
	Protocol modes.Protocol
}

// dynamicSize bounds a dynamic set, as the nft tool does where nothing else is said.
const dynamicSize = 65535

// slots tells whether the set's key ends in a slot, whose type has no name in nft.
func (s *Set) slots() bool { return s.Key.Fields[len(s.Key.Fields)-1] == Random }

// Element is one of a set or map. Elements can be compared.
type Element struct {
	// In is the name of the set.
	In string
	// Key and Data are bytes, as the kernel has them in its registers. In a map of
	// verdicts, Data is the kind of the verdict and the chain.
	Key, Data string
}

// verdict is the verdict in a map's value.
func (e Element) verdict() Verdict { return Verdict{VerdictKind(e.Data[0]), e.Data[1:]} }

// target is the address and port in a map's value.
func (e Element) target() netip.AddrPort {
	b := []byte(e.Data)
	a, _ := netip.AddrFromSlice(b[:len(b)-4])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[len(b)-4:]))
}

// number is the number in a map's value.
func (e Element) number() uint32 { return binary.NativeEndian.Uint32([]byte(e.Data)) }

// value is the value as nft spells it, nil for none.
func (e Element) value(v Value) []string {
	switch v {
	case Verdicts:
		return []string{e.verdict().String()}
	case Numbers:
		return []string{fmt.Sprint(e.number())}
	case Targets:
		to := e.target()
		return []string{to.Addr().String(), fmt.Sprint(to.Port())}
	}
	return nil
}

// Set is the set or map of a name, nil if the Table has none.
func (t *Table) Set(name string) *Set {
	for _, s := range t.Sets {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Count is how many chains, rules, named sets and elements of them a Table has.
func (t *Table) Count() (chains, rules, sets, elements int) {
	for _, c := range t.Chains {
		rules += len(c.Rules)
	}
	return len(t.Chains), rules, len(t.Sets), len(t.Elements)
}
