package iptables

import (
	"net/netip"
	"slices"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// assemble puts the per-Service parts between the fixed chains, in the order
// in which kube-proxy writes them.
func assemble(services []rules.Rule, extra []*rules.Chain, reject []rules.Rule, out outside, atLoopback bool) rules.Ruleset {
	const portals = "kubernetes service portals"
	external := rules.Rule{Comment: "kubernetes externally-visible service portals", CTState: "NEW", Chain: ExternalServicesChain}
	firewall := rules.Rule{Comment: "kubernetes load balancer firewall", CTState: "NEW", Chain: FirewallChain}
	input, output := []rules.Rule{firewall, external}, []rules.Rule{firewall, {Comment: portals, CTState: "NEW", Chain: ServicesChain}}
	var more []*rules.Chain
	if len(out.health) > 0 {
		input = append(input, rules.Rule{Comment: "kubernetes health check service ports", Chain: NodePortsChain})
		more = append(more, &rules.Chain{Name: NodePortsChain, Rules: out.health})
	}
	if atLoopback {
		input = append(input, rules.Rule{Chain: LoopbackChain})
		output = append(output, rules.Rule{Chain: LoopbackChain})
		more = append(more, loopback())
	}
	filter := rules.Table{Name: "filter", Chains: append([]*rules.Chain{
		{Name: "INPUT", Rules: input},
		{Name: "FORWARD", Rules: []rules.Rule{
			firewall, external, {Comment: portals, CTState: "NEW", Chain: ServicesChain},
			{Comment: "kubernetes forwarding rules", Chain: ForwardChain},
		}},
		{Name: "OUTPUT", Rules: output},
		{Name: ExternalServicesChain, Rules: out.refused},
		{Name: FirewallChain, Rules: out.firewall},
		{Name: ServicesChain, Rules: reject},
		{Name: ForwardChain, Rules: []rules.Rule{
			{CTState: "INVALID", Target: rules.Drop},
			{Comment: "kubernetes forwarding rules", HasMark: MasqueradeMark, Target: rules.Accept},
			{Comment: "kubernetes forwarding conntrack rule", CTState: "RELATED,ESTABLISHED", Target: rules.Accept},
		}},
	}, more...)}
	nat := rules.Table{Name: "nat", Chains: []*rules.Chain{
		{Name: "PREROUTING", Rules: []rules.Rule{{Comment: portals, Chain: ServicesChain}}},
		{Name: "OUTPUT", Rules: []rules.Rule{{Comment: portals, Chain: ServicesChain}}},
		{Name: "POSTROUTING", Rules: []rules.Rule{{Comment: "kubernetes postrouting rules", Chain: PostroutingChain}}},
		{Name: ServicesChain, Rules: services},
		{Name: NodePortsChain, Rules: out.nodePorts},
		{Name: PostroutingChain, Rules: Postrouting()},
		{Name: MarkMasqChain, Rules: []rules.Rule{{Target: rules.OrMark, Mark: MasqueradeMark}}},
	}}
	nat.Chains = append(nat.Chains, extra...)
	return rules.Ruleset{Tables: []rules.Table{filter, nat}}
}

// toNodePorts is the last rules of KUBE-SERVICES, which lead to the node ports: one for
// all of the node's addresses, or one for each at which they are served. The loopback
// address of IPv6 is never among them: the kernel routes its packets nowhere else, so
// that they would be lost where a socket that is not there would have refused them.
func (p *Planner) toNodePorts(node modes.NodeConfig) (out []rules.Rule) {
	r := rules.Rule{Comment: "kubernetes service nodeports; NOTE: this must be the last rule in this chain", Chain: NodePortsChain}
	if node.AllNodePorts(p.family()) {
		r.DstLocal = true
		switch {
		case p.family() == modes.IPv6:
			r.Dst, r.NotDst = modes.Host(netip.IPv6Loopback()), true
		case node.NoLocalhostNodePorts:
			r.Dst, r.NotDst = localnet, true
		}
		return []rules.Rule{r}
	}
	at := slices.DeleteFunc(slices.Clone(node.Addrs), func(a netip.Addr) bool { return !p.ours(a) })
	for _, a := range append(at, localnet.Addr().Next()) {
		if p.ours(a) && node.NodePortAt(a) {
			r.Dst = modes.Host(a)
			out = append(out, r)
		}
	}
	return out
}

// localnet is the range of loopback addresses.
var localnet = netip.MustParsePrefix("127.0.0.0/8")

// Postrouting is the content of KUBE-POSTROUTING: packets marked by
// KUBE-MARK-MASQ leave with the node's address.
func Postrouting() []rules.Rule {
	return []rules.Rule{
		{NotMark: MasqueradeMark, Target: rules.Return},
		{Target: rules.XorMark, Mark: MasqueradeMark},
		{Comment: "kubernetes service traffic requiring SNAT", Target: rules.Masquerade},
	}
}

// LoopbackChain is kubelet's, as far as node ports need it.
const LoopbackChain = "KUBE-FIREWALL"

// loopback is KUBE-FIREWALL: node ports can be dialled at 127.0.0.1, for which the
// kernel must route loopback addresses; nobody else is to get at them.
func loopback() *rules.Chain {
	return &rules.Chain{Name: LoopbackChain, Rules: []rules.Rule{{
		Comment: "block incoming localnet connections", Dst: localnet, Src: localnet, NotSrc: true,
		NotCTState: "RELATED,ESTABLISHED,DNAT", Target: rules.Drop,
	}}}
}
