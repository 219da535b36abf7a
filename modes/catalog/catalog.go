// Package catalog is the one list of the lab's modes.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"viplab/modes"
	"viplab/modes/direct"
	"viplab/modes/ebpf"
	"viplab/modes/iptables"
	"viplab/modes/iptablestree"
	"viplab/modes/ipvs"
	"viplab/modes/kubeproxy"
	"viplab/modes/nftables"
	"viplab/modes/userspace"
)

// Catalog is a list of modes, in the order in which reports show them.
type Catalog []modes.Mode

// All lists the lab's own modes.
func All() Catalog {
	return Catalog{
		direct.Mode(),
		userspace.Mode(),
		iptables.Mode(),
		iptablestree.Mode(),
		ipvs.Mode(),
		nftables.Mode(),
		ebpf.Mode(),
	}
}

// Known lists the lab's own modes and their peers.
func Known() Catalog { return append(All(), kubeproxy.Modes()...) }

// Usual lists the modes that run where none is named: all but peers.
func (c Catalog) Usual() Catalog {
	return slices.DeleteFunc(slices.Clone(c), func(m modes.Mode) bool { return m.PeerOf != "" })
}

// Names lists the modes' names.
func (c Catalog) Names() []string {
	var out []string
	for _, m := range c {
		out = append(out, m.Name)
	}
	return out
}

// Serving lists the modes that serve VIPs: all but the baseline.
func (c Catalog) Serving() Catalog {
	return slices.DeleteFunc(slices.Clone(c), func(m modes.Mode) bool { return m.Baseline })
}

// Planned lists the modes that say what they program.
func (c Catalog) Planned() Catalog {
	return slices.DeleteFunc(slices.Clone(c), func(m modes.Mode) bool { return m.Program == nil })
}

// Find is the mode of that name.
func (c Catalog) Find(name string) (modes.Mode, error) {
	i := slices.IndexFunc(c, func(m modes.Mode) bool { return m.Name == name })
	if i < 0 {
		return modes.Mode{}, fmt.Errorf("unknown mode %q: valid are %s", name, strings.Join(c.Names(), ", "))
	}
	return c[i], nil
}

// Params lists the parameters of all modes, each once.
func (c Catalog) Params() []modes.Param {
	var out []modes.Param
	for _, m := range c {
		for _, p := range m.Params {
			if !slices.ContainsFunc(out, func(o modes.Param) bool { return o.Name == p.Name }) {
				out = append(out, p)
			}
		}
	}
	return out
}

// With lists the modes that have a parameter.
func (c Catalog) With(param string) Catalog {
	return slices.DeleteFunc(slices.Clone(c), func(m modes.Mode) bool { _, has := m.Param(param); return !has })
}
