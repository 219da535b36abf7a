package userspace

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/packet"
)

// firstProgramPort is the proxy's first port in a Program; a real proxy takes
// what is free.
const firstProgramPort = 30000

// Program is what the mode puts into a node of the given address, as values.
func Program(s modes.Snapshot, node netip.Addr) packet.Program {
	p := packet.Program{Nodes: s.Node.Addrs, Portals: map[modes.Front][]netip.AddrPort{}, Sticky: map[modes.Front]bool{}}
	next := uint16(firstProgramPort)
	p.Rules = Rules(s, node, func(svc *modes.Service, sp modes.ServicePort) uint16 {
		next++
		front := modes.Front{Proto: sp.Protocol, Addr: netip.AddrPortFrom(node, next)}
		p.Portals[front], p.Sticky[front] = serving(svc, sp), svc.Affinity > 0
		return next
	})
	return p
}
