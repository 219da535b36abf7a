package ipvs

import (
	"fmt"
	"net/netip"

	"viplab/modes"
	"viplab/modes/packet"
)

// Program is what the mode puts into a node, as values.
func Program(s modes.Snapshot) packet.Program {
	p := packet.Program{
		Rules:   Rules(s.ClusterCIDR),
		Entries: map[string]map[string]bool{ClusterIPSet: {}, LoopBackSet: {}},
		Servers: map[packet.Front][]netip.AddrPort{},
		Bound:   map[netip.Addr]bool{},
	}
	for o := range Plan(modes.Diff(modes.Snapshot{}, s)) {
		front := packet.Front{Proto: o.Proto, Addr: o.VIP}
		switch o.Kind {
		case AddAddress:
			p.Bound[o.VIP.Addr()] = true
		case AddServer:
			p.Servers[front] = nil
		case AddReal:
			p.Servers[front] = append(p.Servers[front], o.Real)
		case AddEntry:
			p.Entries[o.Set][o.entry()] = true
		}
	}
	return p
}

// entry is the set entry of an operation, as ipset writes it.
func (o Op) entry() string {
	if o.Set == LoopBackSet {
		return fmt.Sprintf("%s,%s:%d,%s", o.Real.Addr(), o.Proto, o.Real.Port(), o.Real.Addr())
	}
	return fmt.Sprintf("%s,%s:%d", o.VIP.Addr(), o.Proto, o.VIP.Port())
}
