package iptables

import (
	"viplab/modes"
	"viplab/modes/packet"
)

// Program is what the mode puts into a node, as values; dispatch is as for [New].
func Program(dispatch Dispatch, s modes.Snapshot) packet.Program {
	p := Planner{Dispatch: dispatch}
	if len(s.Services) > 0 {
		p.Family = s.Services[0].Family()
	}
	return packet.Program{Rules: p.Plan(s), Nodes: s.Node.Addrs}
}
