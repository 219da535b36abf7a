// Package ipset reads what `ipset save` wrote, and looks packets up in the sets.
//
// All types of sets are read. Of a packet the tracer knows addresses, ports, protocol,
// mark and, where they are given, devices; a set of something else (mac) is not known.
package ipset

import (
	"net/netip"
	"slices"
	"strings"

	"viplab/modes/packet/rules"
)

// Sets are those of a node, by name.
type Sets map[string]*Set

// Set is one set.
type Set struct {
	Name, Type string
	// Parts are what an entry consists of, as the Type names them: "ip", "port", "net".
	Parts []string
	// Family6 is set where the addresses are of IPv6.
	Family6 bool
	// bits is how much of an address of hash:ip counts (netmask).
	bits    int
	entries map[string]bool // by text; false for those of "nomatch"
	// lengths are those of the prefixes that occur, of each part that is a net, longest
	// first.
	lengths [][]int
	members []string // of list:set
}

// Count is how many entries all sets have.
func (s Sets) Count() (n int) {
	for _, set := range s {
		n += len(set.entries) + len(set.members)
	}
	return n
}

// Find looks a packet up, by the parts that dirs names ("dst,dst,src"). It returns the
// entry that it found, or, of what is not known, what that is.
func (s Sets) Find(name, dirs string, p *rules.Packet) (found rules.Truth, what string) {
	set := s[name]
	if set == nil {
		return rules.Unknown, "set " + name + ", which no ipset save among the dumps has"
	}
	if set.Type == listType {
		return s.findInList(set, dirs, p)
	}
	dir := strings.Split(dirs, ",")
	if len(dir) < len(set.Parts) {
		return rules.No, ""
	}
	keys := []string{""}
	for i, part := range set.Parts {
		values, why := set.values(i, part, dir[i] == "src", p)
		if why != "" {
			return rules.Unknown, "set " + name + " of " + set.Type + ": " + why
		}
		keys = joined(keys, values)
	}
	for _, k := range keys {
		if matches, ok := set.entries[k]; ok {
			return rules.True(matches), k
		}
	}
	return rules.No, ""
}

// findInList looks a packet up in the sets of a list.
func (s Sets) findInList(list *Set, dirs string, p *rules.Packet) (rules.Truth, string) {
	out, why := rules.No, ""
	for _, m := range list.members {
		if set := s[m]; set != nil && set.Type == listType {
			continue // the kernel has no lists of lists
		}
		switch found, what := s.Find(m, dirs, p); found {
		case rules.Yes:
			return rules.Yes, m + ": " + what
		case rules.Unknown:
			out, why = rules.Unknown, what
		}
	}
	return out, why
}

// joined appends each of some values to each of some keys. The order is that in which
// the kernel tries prefixes.
func joined(keys, values []string) []string {
	out := make([]string, 0, len(keys)*len(values))
	for _, k := range keys {
		for _, v := range values {
			if k != "" {
				v = k + "," + v
			}
			out = append(out, v)
		}
	}
	return out
}

// values are what a part of the packet can stand as in an entry; without any there is none
// that it matches. why says what of the packet is not known.
func (s *Set) values(at int, part string, src bool, p *rules.Packet) (out []string, why string) {
	addr, port, device := p.Dst.Addr(), p.Dst.Port(), p.Out
	if src {
		addr, port, device = p.Src.Addr(), p.Src.Port(), p.In
	}
	switch part {
	case "ip", "net":
		if addr.Is6() != s.Family6 {
			return nil, ""
		}
		if part == "net" {
			return s.prefixes(at, addr), ""
		}
		if s.bits != 0 {
			return []string{netip.PrefixFrom(addr, s.bits).Masked().Addr().String()}, ""
		}
		return []string{addr.String()}, ""
	case "port":
		if s.Type == bitmapPort {
			return []string{number(uint64(port))}, ""
		}
		return []string{string(p.Proto) + ":" + number(uint64(port))}, ""
	case "mark":
		return []string{"0x" + hex(p.Mark)}, ""
	case "iface":
		switch device {
		case "":
			return nil, "by which device the packet passes is not known"
		case rules.NoDevice:
			return nil, ""
		}
		return []string{device}, ""
	}
	return nil, "a packet's " + part + " is not known"
}

// prefixes are those that hold an address, longest first.
func (s *Set) prefixes(at int, addr netip.Addr) (out []string) {
	for _, n := range s.lengths[at] {
		if p, err := addr.Prefix(n); err == nil {
			out = append(out, p.String())
		}
	}
	return out
}

// hasLength notes a length of prefixes.
func (s *Set) hasLength(at, bits int) {
	if i, ok := slices.BinarySearchFunc(s.lengths[at], bits, func(a, b int) int { return b - a }); !ok {
		s.lengths[at] = slices.Insert(s.lengths[at], i, bits)
	}
}
