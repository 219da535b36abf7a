package userspace

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/iptables"
)

// Mode is the mode as a value.
func Mode() modes.Mode {
	return modes.Mode{
		Name: "userspace", Summary: "a proxy process copies bytes, one port a Service; portal rules lead there",
		DataPath: "O(N) rules, two connections", Needs: []string{"iptables"}, Limits: Limits(),
		Caveats: []modes.Caveat{{Text: "The userspace mode's rules are written by one iptables-restore, as in the other " +
			"modes; the real kube-proxy started one process for each rule."}},
		New: func(_ modes.Args, m modes.Machine) modes.Proxier { return New(m.ProxyCommand, m.Family) },
		Program: func(_ modes.Args, s modes.Snapshot, node netip.Addr) modes.Program {
			return Program(s, node)
		},
		Model: &modes.Model{Parts: parts(), Dispatch: dispatch},
	}
}

// parts says what the mode's costs are made of. A change of endpoints touches no rule.
func parts() map[string][]modes.Term {
	portal := modes.Term{Name: "proxy port", Of: func(c modes.Counts) float64 { return c[modes.CountPortals] }}
	return map[string][]modes.Term{
		modes.FullSync:       {modes.Once, modes.RuleWritten},
		modes.KernelMemory:   {modes.Once, modes.TableByte, portal},
		modes.ToolMemory:     {modes.Once, modes.RuleWritten},
		modes.ProxyMemory:    {modes.Once, portal},
		modes.ServiceAdd:     {modes.Once, modes.RulePresent},
		modes.ServiceDelete:  {modes.Once, modes.RulePresent},
		modes.EndpointAdd:    {modes.Once},
		modes.EndpointDelete: {modes.Once},
	}
}

// dispatch: the client's packet is held against the rules of the Service ports before
// its own, and the proxy's own connection against all, after the client was answered.
func dispatch(_ modes.Args, t modes.Topology, positions []int) map[int]modes.Operations {
	all := 0
	for range t.Fronts() {
		all++
	}
	out := map[int]modes.Operations{}
	for p, before := range iptables.Before(t, positions) {
		// Those of its own Service were counted already.
		out[p] = modes.Operations{Rules: before + all - len(t.At(p).Ports), Behind: all + 1}
	}
	return out
}
