package nftables

import (
	"net/netip"

	"viplab/modes"
)

// scope is what every Service's rules depend on.
type scope struct {
	// cluster is the Pods' range, invalid for none.
	cluster netip.Prefix
	// masqueradeAll gives all traffic to ClusterIPs the node's address.
	masqueradeAll bool
	// allPorts is whether node ports are served at all of the node's addresses, at those
	// alone if not.
	allPorts bool
	at       string
	// known is the address that the node is known by, invalid if nobody said.
	known netip.Addr
}

// scope is that of a Snapshot of one family, which is the table's.
func (p *Planner) scope(s modes.Snapshot) scope {
	f := modes.IPv4
	out := scope{cluster: s.ClusterCIDR}
	if p.Family == modes.IPv6 {
		f = modes.IPv6
	}
	out.masqueradeAll, out.allPorts = s.Node.MasqueradeAll, s.Node.AllNodePorts(f)
	for _, a := range s.Node.Addrs {
		if modes.FamilyOf(a) != f {
			continue
		}
		if !out.known.IsValid() {
			out.known = a
		}
		if !out.allPorts && s.Node.NodePortAt(a) {
			out.at += string(a.AsSlice())
		}
	}
	return out
}

// masquerades tells whether some clients of ClusterIPs get the node's address.
func (s scope) masquerades() bool { return s.masqueradeAll || s.cluster.IsValid() }

// outsiders matches those clients.
func (s scope) outsiders() []Match {
	if s.masqueradeAll {
		return nil
	}
	return []Match{InPrefix{Src, s.cluster, true}}
}

// atNode matches packets to the addresses at which node ports are served, before (with
// fib) their destination is looked at, or after.
func (s scope) atNode(f modes.Family, fib bool) []Match {
	switch {
	case !s.allPorts:
		return []Match{InSet{byDst(), nodePortIPs}}
	case fib:
		return []Match{IsLocal{Dst}, notLoopback(f)}
	}
	return []Match{notLoopback(f)}
}

// served are the elements of the set of those addresses.
func (s scope) served(f modes.Family) (out []Element) {
	n := byDst().size(f)
	for at := s.at; len(at) > 0; at = at[n:] {
		out = append(out, Element{In: nodePortIPs, Key: at[:n]})
	}
	return out
}
