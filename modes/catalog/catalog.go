// Package catalog is the one table of the lab's modes.
package catalog

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"viplab/modes"
	"viplab/modes/direct"
	"viplab/modes/iptables"
	"viplab/modes/iptablestree"
	"viplab/modes/ipvs"
	"viplab/modes/packet"
	"viplab/modes/userspace"
)

// Options are the parameters of modes.
type Options struct {
	// Fanout is the tree's, [iptablestree.DefaultFanout] if 0.
	Fanout int
	// Backend and Sync are how the iptables modes write rules, see
	// [iptables.Restorer].
	Backend string
	Sync    iptables.Strategy
	// Bind is how mode ipvs makes VIPs local, see [ipvs.Binds].
	Bind string
	// Scheduler is mode ipvs's, see [ipvs.Schedulers].
	Scheduler string
	// ProxyCommand starts the userspace proxy's process.
	ProxyCommand []string
}

func (o Options) restorer() iptables.Restorer {
	return iptables.Restorer{Backend: o.Backend, Strategy: o.Sync}
}

func (o Options) fanout() int { return cmp.Or(o.Fanout, iptablestree.DefaultFanout) }

// Mode is one row of the table.
type Mode struct {
	Name string
	// Summary is one line for people.
	Summary string
	// DataPath says how a first packet finds its endpoint, and how the cost
	// grows with the number of Services N.
	DataPath string
	// Needs names what the kernel must have.
	Needs []string
	// Iptables tells whether the mode has update strategies and backends.
	Iptables bool
	// Limits are the abilities that the mode lacks, with the reason.
	Limits modes.Limits
	// New makes the mode's Proxier.
	New func(Options) modes.Proxier
	// Program is what it would put into a node of the given address, as
	// values.
	Program func(Options, modes.Snapshot, netip.Addr) packet.Program
}

// Direct is the name of the baseline, which has no Service.
const Direct = "direct"

// All lists the modes in the order in which reports show them.
func All() []Mode {
	return []Mode{
		{Direct, "no Service: probes go to the endpoints; the physical limit", "none", nil, false, directLimits(),
			func(Options) modes.Proxier { return direct.Proxier{} },
			func(Options, modes.Snapshot, netip.Addr) packet.Program { return packet.Program{} }},
		{"userspace", "a proxy process copies bytes, one port a Service; portal rules lead there", "O(N) rules, two connections",
			[]string{"iptables"}, false, userspace.Limits(),
			func(o Options) modes.Proxier { return userspace.New(o.ProxyCommand) },
			func(_ Options, s modes.Snapshot, node netip.Addr) packet.Program { return userspace.Program(s, node) }},
		{"iptables", "linear chains of rules, as kube-proxy writes them", "O(N) rules",
			[]string{"iptables"}, true, iptables.Limits(),
			func(o Options) modes.Proxier { return iptables.New(nil, o.restorer()) },
			func(_ Options, s modes.Snapshot, _ netip.Addr) packet.Program { return iptables.Program(nil, s) }},
		{"iptables-tree", "the same rules behind a tree of chains by VIP prefix", "O(log N) rules",
			[]string{"iptables"}, true, iptables.Limits(),
			func(o Options) modes.Proxier {
				return iptablestree.New(o.fanout(), o.restorer())
			},
			func(o Options, s modes.Snapshot, _ netip.Addr) packet.Program {
				return iptables.Program(iptablestree.Dispatch(o.fanout()), s)
			}},
		{"ipvs", "virtual servers in the kernel's hash table, VIPs on a dummy device, ipsets", "one hash lookup",
			[]string{"ip_vs", "dummy", "ip_set", "iptables"}, false, ipvs.Limits(),
			func(o Options) modes.Proxier {
				p := ipvs.New(o.Bind)
				p.Scheduler = o.Scheduler
				return p
			},
			func(_ Options, s modes.Snapshot, node netip.Addr) packet.Program { return ipvs.Program(s, node) }},
	}
}

// directLimits: without a Service nothing of one is there.
func directLimits() modes.Limits {
	l := modes.Limits{}
	for _, a := range modes.Abilities() {
		l[a] = "there is no Service"
	}
	return l
}

// Names lists the modes' names.
func Names() []string {
	var out []string
	for _, m := range All() {
		out = append(out, m.Name)
	}
	return out
}

// Find is the mode of that name.
func Find(name string) (Mode, error) {
	all := All()
	i := slices.IndexFunc(all, func(m Mode) bool { return m.Name == name })
	if i < 0 {
		return Mode{}, fmt.Errorf("unknown mode %q: valid are %s", name, strings.Join(Names(), ", "))
	}
	return all[i], nil
}
