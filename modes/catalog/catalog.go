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
	"viplab/modes/dual"
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
	// Bind, Scheduler, Forward and Lookup are mode ipvs's, see [ipvs.Options].
	Bind, Scheduler, Forward, Lookup string
	NoConntrack                      bool
	// Family is the address family of the Services, IPv4 if empty.
	Family modes.Family
	// ProxyCommand starts the userspace proxy's process.
	ProxyCommand []string
}

func (o Options) restorer(f modes.Family) iptables.Restorer {
	return iptables.Restorer{Backend: o.Backend, Strategy: o.Sync, Family: f}
}

func (o Options) ipvs(f modes.Family) ipvs.Options {
	return ipvs.Options{Family: f, Bind: o.Bind, Scheduler: o.Scheduler, Forward: o.Forward, Lookup: o.Lookup, NoConntrack: o.NoConntrack}
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
	// one makes the mode's Proxier of one family.
	one func(Options, modes.Family) modes.Proxier
	// program is what it would put into a node of the given address, as values.
	program func(Options, modes.Snapshot, netip.Addr) packet.Program
}

// New makes the mode's Proxier: one, or one for each family.
func (m Mode) New(o Options) modes.Proxier {
	// A Snapshot of IPv4 alone needs not be divided, which would take time.
	if o.Family.Has(modes.IPv6) {
		return dual.New(o.Family, func(f modes.Family) modes.Proxier { return m.one(o, f) })
	}
	return m.one(o, modes.IPv4)
}

// Program is what the mode would put into a node of the given address, as values:
// the part of the address's family.
func (m Mode) Program(o Options, s modes.Snapshot, node netip.Addr) packet.Program {
	return m.program(o, s.Of(modes.FamilyOf(node)), node)
}

// Direct is the name of the baseline, which has no Service.
const Direct = "direct"

// All lists the modes in the order in which reports show them.
func All() []Mode {
	return []Mode{
		{Direct, "no Service: probes go to the endpoints; the physical limit", "none", nil, false, directLimits(),
			func(Options, modes.Family) modes.Proxier { return direct.Proxier{} },
			func(Options, modes.Snapshot, netip.Addr) packet.Program { return packet.Program{} }},
		{"userspace", "a proxy process copies bytes, one port a Service; portal rules lead there", "O(N) rules, two connections",
			[]string{"iptables"}, false, userspace.Limits(),
			func(o Options, f modes.Family) modes.Proxier { return userspace.New(o.ProxyCommand, f) },
			func(_ Options, s modes.Snapshot, node netip.Addr) packet.Program { return userspace.Program(s, node) }},
		{"iptables", "linear chains of rules, as kube-proxy writes them", "O(N) rules",
			[]string{"iptables"}, true, iptables.Limits(),
			func(o Options, f modes.Family) modes.Proxier { return iptables.New(nil, o.restorer(f)) },
			func(_ Options, s modes.Snapshot, _ netip.Addr) packet.Program { return iptables.Program(nil, s) }},
		{"iptables-tree", "the same rules behind a tree of chains by VIP prefix", "O(log N) rules",
			[]string{"iptables"}, true, iptables.Limits(),
			func(o Options, f modes.Family) modes.Proxier { return iptablestree.New(o.fanout(), o.restorer(f)) },
			func(o Options, s modes.Snapshot, _ netip.Addr) packet.Program {
				return iptables.Program(iptablestree.Dispatch(o.fanout()), s)
			}},
		{"ipvs", "virtual servers in the kernel's hash table, VIPs on a dummy device, ipsets", "one hash lookup",
			[]string{"ip_vs", "dummy", "ip_set", "iptables"}, false, ipvs.Limits(),
			func(o Options, f modes.Family) modes.Proxier { return ipvs.New(o.ipvs(f)) },
			func(o Options, s modes.Snapshot, node netip.Addr) packet.Program {
				return ipvs.Program(o.ipvs(modes.FamilyOf(node)), s, node)
			}},
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

// Serving lists the names of the modes that serve VIPs: all but [Direct].
func Serving() []string {
	return slices.DeleteFunc(Names(), func(n string) bool { return n == Direct })
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
