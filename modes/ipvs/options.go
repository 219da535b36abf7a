package ipvs

import (
	mobyipvs "github.com/moby/ipvs"

	"viplab/modes"
)

// Options are the mode's variants. Their zero values are the defaults: what kube-proxy does, but
// for Bind.
type Options struct {
	// Family is IPv4 (the default) or IPv6.
	Family modes.Family
	// Bind is how VIPs are made local, one of [Binds].
	Bind string
	// Scheduler picks real servers, one of [Schedulers].
	Scheduler string
	// Forward is how packets get to the real server, one of [Forwards].
	Forward string
	// NoConntrack leaves connections of IPVS out of the kernel's conntrack table, as
	// its own default has it. What needs masquerading then does not work, such as the
	// node's own connections.
	NoConntrack bool
	// Lookup is how iptables finds what to masquerade, one of [Lookups].
	Lookup string
}

// Ways to make a VIP local to the node, so that IPVS sees its packets.
const (
	// BindRoute: a route of type local by a dummy device, without an address. To a
	// packet it is the same, and the kernel keeps no list of it that grows.
	BindRoute = "route"
	// BindAddress: an address of a dummy device, as kube-proxy has it. The
	// kernel looks through all addresses of the host whenever one is added.
	BindAddress = "address"
	// BindAlias: a further address of the device that leads to the endpoints.
	BindAlias = "alias"
)

// Binds lists them, the default first.
func Binds() []string { return []string{BindRoute, BindAddress, BindAlias} }

func (o Options) byRoute() bool { return o.Bind == BindRoute || o.Bind == "" }

// Ways in which a packet gets to its real server.
const (
	// NAT rewrites addresses and ports; answers come back through the node.
	NAT = "nat"
	// DirectRouting leaves the packet as it is and sends it to the real server's
	// link: the real server must have the VIP too and listen on the Service's own
	// port; it answers the client past the node.
	DirectRouting = "dr"
	// Tunnel puts the packet into another one for the real server (IP in IP), which
	// needs not be on the node's link; all else is as with direct routing.
	Tunnel = "tunnel"
)

// Forwards lists them, the default first.
func Forwards() []string { return []string{NAT, DirectRouting, Tunnel} }

// Whether conntrack tracks connections of IPVS, kube-proxy's way first.
const Tracked, Untracked = "on", "off"

// Ways in which the mode's iptables rules find what to masquerade.
const (
	// LookupIPSet: in ipsets, with a constant number of rules.
	LookupIPSet = "ipset"
	// LookupRules: by two rules a Service port and one an endpoint, which is what
	// ipsets spare. Services that are reached from outside are not served so.
	LookupRules = "rules"
)

// Lookups lists them, the default first.
func Lookups() []string { return []string{LookupIPSet, LookupRules} }

func (o Options) byRules() bool { return o.Lookup == LookupRules }

// forwardFlag is the kernel's number of the forwarding method.
func (o Options) forwardFlag() uint32 {
	switch o.Forward {
	case DirectRouting:
		return mobyipvs.ConnectionFlagDirectRoute
	case Tunnel:
		return mobyipvs.ConnectionFlagTunnel
	}
	return mobyipvs.ConnectionFlagMasq
}

// forwardLetter is ipvsadm's for the forwarding method.
func (o Options) forwardLetter() string {
	switch o.Forward {
	case DirectRouting:
		return "-g"
	case Tunnel:
		return "-i"
	}
	return "-m"
}

// check says what of the changes the options cannot serve.
func (o Options) check(changes []modes.Change) error {
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		if err := o.refuses(c.New); err != nil {
			return err
		}
	}
	return nil
}

// refuses says what of a Service the options cannot serve.
func (o Options) refuses(svc *modes.Service) error {
	refuse := func(a modes.Ability, why string) error {
		return &modes.UnsupportedError{Mode: "ipvs", Service: svc.Key(), Ability: a, Why: why}
	}
	if o.byRules() && svc.External() {
		return refuse(modes.ExternalIPs, "without ipsets only cluster IPs are served")
	}
	if o.Forward == Tunnel && o.Family == modes.IPv6 {
		return refuse(modes.ServesIPv6, "the lab's real servers end tunnels of IPv4 only")
	}
	if !o.Family.Has(svc.Family()) {
		return refuse(modes.ServesIPv6, "this proxier is of the other address family")
	}
	if o.forwardFlag() == mobyipvs.ConnectionFlagMasq {
		return nil
	}
	for _, p := range svc.Ports {
		if p.Port != p.TargetPort || p.NodePort != 0 {
			return refuse(modes.PortMapping, "forwarding method "+o.Forward+" leaves packets as they are")
		}
	}
	return nil
}
