package ipvs

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/packet"
)

// Program is what the mode puts into a node of the given address, as values; the Snapshot
// may name further ones.
func Program(opt Options, s modes.Snapshot, addr netip.Addr) packet.Program {
	addrs := []netip.Addr{addr}
	for _, a := range s.Node.Addrs {
		if modes.FamilyOf(a) == modes.FamilyOf(addr) {
			addrs = append(addrs, a)
		}
	}
	n := nodeOf(s.Node, addrs...)
	p := packet.Program{
		Rules:   opt.rules(s, n, hasExternal(s)),
		Entries: map[string]map[string]bool{},
		Servers: map[modes.Front][]netip.AddrPort{},
		Bound:   map[netip.Addr]bool{},
		Sticky:  map[modes.Front]bool{},
		Nodes:   addrs,
	}
	if !opt.byRules() {
		for _, set := range setsFor(hasExternal(s)) {
			p.Entries[opt.setName(set)] = map[string]bool{}
		}
	}
	for o := range plan(modes.Diff(modes.Snapshot{}, s), n) {
		front := modes.Front{Proto: o.Proto, Addr: o.VIP}
		switch o.Kind {
		case AddAddress:
			p.Bound[o.VIP.Addr()] = true
		case AddServer:
			p.Servers[front] = nil
			p.Sticky[front] = o.Persist > 0
		case AddReal:
			p.Servers[front] = append(p.Servers[front], o.Real)
		case AddEntry:
			if !opt.byRules() {
				p.Entries[opt.setName(o.Set)][o.entry()] = true
			}
		}
	}
	return p
}
