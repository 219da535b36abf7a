package ipvs

import "viplab/modes"

// Limits are what the mode cannot do.
func Limits() modes.Limits {
	return modes.Limits{
		modes.LocalhostPorts: "node ports are virtual servers at the node's addresses, not at loopback's, as in kube-proxy",
	}
}

// caveats are what a reader of the mode's figures must know.
func caveats() []modes.Caveat {
	past := "Real servers have the VIPs themselves, listen on the Service's own port and answer clients past the node " +
		"over a link of their own; the node itself cannot dial its Services. All trials of this run have endpoints on the " +
		"Service's own port, so that forwarding methods can be compared."
	return []modes.Caveat{
		{When: modes.Args{ForwardParam: DirectRouting}, Text: "Direct routing (forward=dr): " + past},
		{When: modes.Args{ForwardParam: Tunnel}, Text: "Tunnels (forward=tunnel): " + past},
		{When: modes.Args{LookupParam: LookupRules}, Text: "lookup=rules is mode ipvs without ipsets: two rules a Service port and one an " +
			"endpoint stand for what a set has. It is there to show what ipsets spare."},
		{When: modes.Args{BindParam: BindAddress}, Text: "With bind=address mode ipvs spreads VIPs over one dummy device for each 1024 Services; " +
			"the real kube-proxy has one device, whose address list the kernel walks at every change."},
		{When: modes.Args{BindParam: BindRoute}, Text: "Mode ipvs makes VIPs local by routes; the real kube-proxy adds addresses to a dummy device, all of " +
			"which the kernel looks through at every change (bind=address)."},
		{Text: "Mode ipvs writes sets and servers in batches over netlink; the real kube-proxy starts a process for each set entry."},
	}
}
