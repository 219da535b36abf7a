package ipvs

import (
	"fmt"
	"net/netip"
	"slices"

	"viplab/modes"
	"viplab/modes/packet"
)

// Program is what the mode puts into a node of the given address, as values.
func Program(opt Options, s modes.Snapshot, node netip.Addr) packet.Program {
	p := packet.Program{
		Rules:   opt.Rules(s, hasExternal(s)),
		Entries: map[string]map[string]bool{opt.setName(ClusterIPSet): {}, opt.setName(LoopBackSet): {}},
		Servers: map[modes.Front][]netip.AddrPort{},
		Bound:   map[netip.Addr]bool{},
		Sticky:  map[modes.Front]bool{},
		Nodes:   s.Node.Addrs,
	}
	if hasExternal(s) {
		for _, set := range externalSets() {
			p.Entries[opt.setName(set)] = map[string]bool{}
		}
	}
	nodes := s.Node.Addrs
	if !slices.Contains(nodes, node) {
		nodes = append(slices.Clone(nodes), node)
	}
	for o := range Plan(modes.Diff(modes.Snapshot{}, s), nodes...) {
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

// entry is the set entry of an operation, as ipset writes it.
func (o Op) entry() string {
	switch setType(o.Set) {
	case "hash:ip,port,ip":
		return fmt.Sprintf("%s,%s:%d,%s", o.Real.Addr(), o.Proto, o.Real.Port(), o.Real.Addr())
	case "hash:ip,port,net":
		return fmt.Sprintf("%s,%s:%d,%s", o.VIP.Addr(), o.Proto, o.VIP.Port(), o.Source)
	case "bitmap:port":
		return fmt.Sprint(o.VIP.Port())
	}
	return fmt.Sprintf("%s,%s:%d", o.VIP.Addr(), o.Proto, o.VIP.Port())
}
