package modes

import (
	"fmt"
	"net/netip"
	"slices"
)

// NodeConfig is what holds for all Services of a node. Its zero value is kube-proxy's
// defaults.
type NodeConfig struct {
	// Addrs are the node's own addresses of both families, without loopback; the first of
	// a family is the one that the node is known by. With none a mode that needs them
	// asks the kernel.
	Addrs []netip.Addr
	// MasqueradeAll gives all traffic to a ClusterIP the node's address as its source,
	// that of pods too (kube-proxy's --masquerade-all).
	MasqueradeAll bool
	// NodePortAddresses are the ranges of those of the node's addresses at which node
	// ports are served: all of a family if it has none here (--nodeport-addresses).
	NodePortAddresses []netip.Prefix
	// NoLocalhostNodePorts closes node ports at the node's loopback address
	// (--iptables-localhost-nodeports=false). With IPv6 they are never open there.
	NoLocalhostNodePorts bool
	// NodePorts is the range that node ports and health check ports must lie in
	// (the API server's --service-node-port-range), any if it is empty.
	NodePorts PortRange
}

// PortRange is a range of ports, both ends included; the zero value is empty.
type PortRange struct{ First, Last uint16 }

// String is the range as kube-proxy's options have it.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// Equal tells whether two NodeConfigs say the same.
func (n NodeConfig) Equal(o NodeConfig) bool {
	return slices.Equal(n.Addrs, o.Addrs) && slices.Equal(n.NodePortAddresses, o.NodePortAddresses) &&
		n.MasqueradeAll == o.MasqueradeAll && n.NoLocalhostNodePorts == o.NoLocalhostNodePorts && n.NodePorts == o.NodePorts
}

// of is the part of a NodeConfig that is of one family.
func (n NodeConfig) of(f Family) NodeConfig {
	n.Addrs = slices.DeleteFunc(slices.Clone(n.Addrs), func(a netip.Addr) bool { return FamilyOf(a) != f })
	n.NodePortAddresses = slices.DeleteFunc(slices.Clone(n.NodePortAddresses), func(p netip.Prefix) bool { return FamilyOf(p.Addr()) != f })
	return n
}

// AllNodePorts tells whether node ports are served at all of the node's addresses of a
// family.
func (n NodeConfig) AllNodePorts(f Family) bool {
	given := false
	for _, p := range n.NodePortAddresses {
		if FamilyOf(p.Addr()) == f {
			if p.Bits() == 0 {
				return true
			}
			given = true
		}
	}
	return !given
}

// NodePortAt tells whether node ports are served at one of the node's addresses: of the
// loopback addresses at those of IPv4 only, and at 127.0.0.1 alone where ranges are given.
func (n NodeConfig) NodePortAt(a netip.Addr) bool {
	all := n.AllNodePorts(FamilyOf(a))
	if a.IsLoopback() && (a.Is6() || n.NoLocalhostNodePorts || !all && a != loopback4) {
		return false
	}
	return all || slices.ContainsFunc(n.NodePortAddresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// LocalhostNodePorts tells whether node ports are served at 127.0.0.1.
func (n NodeConfig) LocalhostNodePorts() bool { return n.NodePortAt(loopback4) }

// normal checks a NodeConfig and puts its ranges into one form.
func (n NodeConfig) normal() (NodeConfig, error) {
	for _, a := range n.Addrs {
		if !plainAddr(a) || a.IsLoopback() || a.IsUnspecified() {
			return n, fmt.Errorf("node: %q is no plain IPv4 or IPv6 address of a node", a)
		}
	}
	if r := n.NodePorts; r.First > r.Last || r.First == 0 && r.Last != 0 {
		return n, fmt.Errorf("node: %s is no range of node ports", r)
	}
	var err error
	n.NodePortAddresses, err = normalRanges(n.NodePortAddresses)
	if err != nil {
		return n, fmt.Errorf("node: node port addresses: %w", err)
	}
	return n, nil
}

// normalRanges masks host bits and leaves out what occurs twice. It gives
// the same slice back if that changes nothing.
func normalRanges(in []netip.Prefix) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(in))
	seen := make(map[netip.Prefix]bool, len(in))
	for _, r := range in {
		if !r.IsValid() || !plainAddr(r.Addr()) {
			return in, fmt.Errorf("%q is no plain IPv4 or IPv6 range", r)
		}
		if r = r.Masked(); !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	if slices.Equal(in, out) {
		return in, nil
	}
	return out, nil
}

// plainAddr tells whether an address is one of IPv4 or IPv6 without a zone.
func plainAddr(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }
