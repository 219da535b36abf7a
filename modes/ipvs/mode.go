package ipvs

import (
	"fmt"
	"net/netip"

	"viplab/modes"
)

// Names of the mode's parameters.
const (
	BindParam      = "bind"
	SchedulerParam = "scheduler"
	ForwardParam   = "forward"
	LookupParam    = "lookup"
	ConntrackParam = "conntrack"
)

// Mode is the mode as a value.
func Mode() modes.Mode {
	return modes.Mode{
		Name: "ipvs", Summary: "virtual servers in the kernel's hash table, VIPs local by routes, ipsets", DataPath: "one hash lookup",
		Fallback: "iptables", Params: params(), Needs: []string{"ip_vs", "dummy", "ip_set", "iptables"}, Limits: Limits(),
		Refuses: func(a modes.Args, svc *modes.Service) error { return OptionsFor(a, svc.Family()).refuses(svc) },
		Caveats: caveats(),
		Check:   check, Traits: traits,
		New: func(a modes.Args, m modes.Machine) modes.Proxier { return New(OptionsFor(a, m.Family)) },
		Program: func(a modes.Args, s modes.Snapshot, node netip.Addr) modes.Program {
			return Program(OptionsFor(a, modes.FamilyOf(node)), s, node)
		},
		Model: &modes.Model{Parts: parts(), Apart: true, Dispatch: dispatch},
	}
}

func params() []modes.Param {
	one := func(name, help string, values []string) modes.Param {
		return modes.Param{Name: name, Help: help, Values: values, Default: values[0]}
	}
	return []modes.Param{
		one(BindParam, "how mode ipvs makes VIPs local: route, address (of a dummy device, as kube-proxy), alias (on the link to the endpoints)", Binds()),
		one(SchedulerParam, "IPVS scheduler", Schedulers()),
		one(ForwardParam, "how mode ipvs forwards packets: nat, dr (direct routing), tunnel", Forwards()),
		one(LookupParam, "how mode ipvs finds what to masquerade: ipset, rules (one an endpoint, to show what ipsets spare)", Lookups()),
		one(ConntrackParam, "whether conntrack tracks connections of mode ipvs", []string{Tracked, Untracked}),
	}
}

// OptionsFor is the arguments as Options, for one address family.
func OptionsFor(a modes.Args, f modes.Family) Options {
	return Options{Family: f, Bind: a[BindParam], Scheduler: a[SchedulerParam], Forward: a[ForwardParam], Lookup: a[LookupParam],
		NoConntrack: a[ConntrackParam] == Untracked}
}

func check(a modes.Args, f modes.Family) error {
	if a[ForwardParam] == Tunnel && f.Has(modes.IPv6) {
		return fmt.Errorf("forward tunnel is for family ipv4 alone: the lab's real servers end no tunnels of IPv6")
	}
	return nil
}

// traits says what the arguments mean for the lab.
func traits(a modes.Args) modes.Traits {
	t := modes.Traits{DirectServerReturn: a[ForwardParam] == DirectRouting || a[ForwardParam] == Tunnel, Tunnel: a[ForwardParam] == Tunnel}
	// Real servers that have the VIP keep the node's answers; and where conntrack does
	// not look on, nothing replaces the node's source address.
	t.NodeUnserved = t.DirectServerReturn || a[ConntrackParam] == Untracked
	switch a[SchedulerParam] {
	case "", "rr":
	case "wrr":
		t.Choice = modes.WeightedChoice
	default:
		t.Choice = modes.OtherChoice
	}
	return t
}

// parts says what the mode's costs are made of, with VIPs that are routes.
func parts() map[string][]modes.Term {
	object := modes.Term{Name: "netlink object", Of: func(c modes.Counts) float64 {
		return c[modes.CountVIPs] + c[modes.CountServers] + c[modes.CountReals] + c[modes.CountEntries]
	}}
	return map[string][]modes.Term{
		modes.FullSync:       {modes.Once, object},
		modes.KernelMemory:   {modes.Once, object},
		modes.ServiceAdd:     {modes.Once},
		modes.ServiceDelete:  {modes.Once},
		modes.EndpointAdd:    {modes.Once},
		modes.EndpointDelete: {modes.Once},
	}
}

// hashBuckets is how many buckets ip_vs hashes virtual servers into (IP_VS_SVC_TAB_BITS
// in net/netfilter/ipvs/ip_vs_ctl.c); within one the newest comes first.
const hashBuckets = 256

// dispatch counts the virtual servers that were added later to the same bucket
// (ip_vs_svc_hashkey; the namespace's pointer, which it also mixes in, only renames the
// buckets).
func dispatch(_ modes.Args, t modes.Topology, positions []int) map[int]modes.Operations {
	wanted := make(map[int]uint8, len(positions))
	for _, p := range positions {
		wanted[p] = 0
	}
	var filled [hashBuckets]int
	out := map[int]modes.Operations{}
	for at, f := range t.Fronts() {
		h := bucket(f)
		filled[h]++
		if _, ok := wanted[at]; ok && out[at].Bucket == 0 {
			// Its first port: what is in the bucket by then comes after it.
			wanted[at], out[at] = h, modes.Operations{Bucket: filled[h]}
		}
	}
	for at, before := range out {
		out[at] = modes.Operations{Bucket: filled[wanted[at]] - before.Bucket}
	}
	return out
}

func bucket(f modes.Front) uint8 {
	h := f.Proto.Number() ^ uint8(f.Addr.Port()>>8) ^ uint8(f.Addr.Port())
	// An address of IPv6 is folded into 32 bits first.
	for word := f.Addr.Addr().AsSlice(); len(word) > 0; word = word[4:] {
		h ^= word[3]
	}
	return h
}
