package ebpf

import (
	"net/netip"

	"viplab/modes"
)

// scope is what all Services of a node depend on.
type scope struct {
	// cluster is the pods' range, invalid for none.
	cluster netip.Prefix
	// masqueradeAll gives all traffic to ClusterIPs the node's address.
	masqueradeAll bool
	// loopback is whether node ports are served at all loopback addresses.
	loopback bool
	// localhost is whether they are at 127.0.0.1.
	localhost bool
}

// scopeOf is that of a Snapshot of one family.
func scopeOf(s modes.Snapshot, f modes.Family) scope {
	out := scope{cluster: s.ClusterCIDR, masqueradeAll: s.Node.MasqueradeAll}
	if f == modes.IPv6 {
		return out // whose loopback address has no node ports
	}
	out.localhost = s.Node.LocalhostNodePorts()
	out.loopback = out.localhost && s.Node.AllNodePorts(modes.IPv4)
	return out
}

// places are the addresses of a node that are of a family, each with whether node ports
// are served there.
func places(own []netip.Addr, f modes.Family, c modes.NodeConfig, s scope) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool, len(own)+1)
	for _, a := range own {
		if modes.FamilyOf(a) != f {
			continue
		}
		out[a] = c.NodePortAt(a)
	}
	if s.localhost {
		out[netip.AddrFrom4([4]byte{127, 0, 0, 1})] = true
	}
	return out
}
