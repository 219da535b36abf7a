// Package catalog is the one table of the lab's modes.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"viplab/modes"
	"viplab/modes/direct"
	"viplab/modes/iptables"
	"viplab/modes/iptablestree"
	"viplab/modes/ipvs"
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
	// ProxyCommand starts the userspace proxy's process.
	ProxyCommand []string
}

func (o Options) restorer() iptables.Restorer {
	return iptables.Restorer{Backend: o.Backend, Strategy: o.Sync}
}

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
	// New makes the mode's Proxier.
	New func(Options) modes.Proxier
}

// Direct is the name of the baseline, which has no Service.
const Direct = "direct"

// All lists the modes in the order in which reports show them.
func All() []Mode {
	return []Mode{
		{Direct, "no Service: probes go to the endpoints; the physical limit", "none", nil, false,
			func(Options) modes.Proxier { return direct.Proxier{} }},
		{"userspace", "a proxy process copies bytes, one port a Service; portal rules lead there", "O(N) rules, two connections",
			[]string{"iptables"}, false,
			func(o Options) modes.Proxier { return userspace.New(o.ProxyCommand) }},
		{"iptables", "linear chains of rules, as kube-proxy writes them", "O(N) rules",
			[]string{"iptables"}, true,
			func(o Options) modes.Proxier { return iptables.New(nil, o.restorer()) }},
		{"iptables-tree", "the same rules behind a tree of chains by VIP prefix", "O(log N) rules",
			[]string{"iptables"}, true,
			func(o Options) modes.Proxier {
				if o.Fanout == 0 {
					o.Fanout = iptablestree.DefaultFanout
				}
				return iptablestree.New(o.Fanout, o.restorer())
			}},
		{"ipvs", "virtual servers in the kernel's hash table, VIPs on a dummy device, ipsets", "one hash lookup",
			[]string{"ip_vs", "dummy", "ip_set", "iptables"}, false,
			func(o Options) modes.Proxier { return ipvs.New(o.Bind) }},
	}
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
