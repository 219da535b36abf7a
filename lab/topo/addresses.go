package topo

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// Addresses are those of one family.
type Addresses struct {
	// Client and Backend are the addresses of those namespaces, ToClient and Node
	// those of the node on the links to them.
	Client, ToClient, Node, Backend netip.Prefix
	// VIPs and Endpoints are the ranges of Services.
	VIPs, Endpoints netip.Prefix
}

// Of is the addresses of a family.
func Of(f modes.Family) Addresses {
	p := netip.MustParsePrefix
	if f == modes.IPv6 {
		return Addresses{
			Client: p("fd00:10:128:0:ffff::2/126"), ToClient: p("fd00:10:128:0:ffff::1/126"),
			Node: p("fd00:10:64::1/126"), Backend: p("fd00:10:64::2/126"),
			VIPs: synth.VIPRange6, Endpoints: synth.EndpointRange6,
		}
	}
	return Addresses{
		Client: p("10.255.255.2/30"), ToClient: p("10.255.255.1/30"),
		Node: p("10.64.0.1/30"), Backend: p("10.64.0.2/30"),
		VIPs: synth.VIPRange, Endpoints: synth.EndpointRange,
	}
}

// NodeAddrs are the node's own addresses, of both families, first the one that it is known
// by: that of its default route.
func NodeAddrs() []netip.Addr {
	var out []netip.Addr
	for _, f := range modes.Dual.Parts() {
		a := Of(f)
		out = append(out, a.Node.Addr(), a.ToClient.Addr())
	}
	return out
}

// anywhere is the default route's destination.
func (a Addresses) anywhere() netip.Prefix {
	if a.Client.Addr().Is6() {
		return netip.MustParsePrefix("::/0")
	}
	return netip.MustParsePrefix("0.0.0.0/0")
}
