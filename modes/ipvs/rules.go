package ipvs

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/packet/rules"
)

// Chains that kube-proxy has in this mode alone.
const (
	nodePortChain  = "KUBE-NODE-PORT"
	balancerChain  = "KUBE-LOAD-BALANCER"
	sourcesChain   = "KUBE-SOURCE-RANGES-FIREWALL"
	accessChain    = "KUBE-IPVS-FILTER"
	outAccessChain = "KUBE-IPVS-OUT-FILTER"
)

// What of a packet is looked up in a set: addresses and ports of its destination, and of
// its source.
const (
	clusterDirs  = "dst,dst"
	fromVIPDirs  = "src,dst"
	loopBackDirs = "dst,dst,src"
)

// rules is the iptables part of the mode: what to masquerade and what to keep out is
// looked up in ipsets, so that the rules do not grow with the Services; or it is not, and
// they do. outside adds what Services need that are reached from outside.
func (o Options) rules(s modes.Snapshot, n node, outside bool) rules.Ruleset {
	var rs rules.Ruleset
	if o.byRules() {
		rs = assemble(ruleDispatch(s))
	} else {
		rs = assemble(setDispatch(s, outside))
	}
	if outside {
		addOutside(&rs, n.shut(s))
	}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			o.nameSets(c.Rules)
		}
	}
	return rs
}

// lookups is the part of the rules in which sets are looked up for ClusterIPs.
type lookups struct {
	services, hairpins, access []rules.Rule
}

// assemble puts the fixed rules around those that look VIPs up.
func assemble(d lookups) rules.Ruleset {
	const portals = "kubernetes service portals"
	return rules.Ruleset{Tables: []rules.Table{
		{Name: "filter", Chains: []*rules.Chain{
			{Name: "INPUT", Rules: []rules.Rule{{Comment: "kubernetes ipvs access filter", Chain: accessChain}}},
			{Name: "FORWARD", Rules: []rules.Rule{{Comment: "kubernetes forwarding rules", Chain: iptables.ForwardChain}}},
			{Name: iptables.ForwardChain, Rules: []rules.Rule{
				{Comment: "kubernetes forwarding rules", HasMark: iptables.MasqueradeMark, Target: rules.Accept},
				{Comment: "kubernetes forwarding conntrack rule", CTState: "RELATED,ESTABLISHED", Target: rules.Accept},
			}},
			{Name: accessChain, Rules: d.access},
		}},
		{Name: "nat", Chains: []*rules.Chain{
			{Name: "PREROUTING", Rules: []rules.Rule{{Comment: portals, Chain: iptables.ServicesChain}}},
			{Name: "OUTPUT", Rules: []rules.Rule{{Comment: portals, Chain: iptables.ServicesChain}}},
			{Name: "POSTROUTING", Rules: []rules.Rule{{Comment: "kubernetes postrouting rules", Chain: iptables.PostroutingChain}}},
			{Name: iptables.ServicesChain, Rules: d.services},
			{Name: nodePortChain},
			{Name: iptables.PostroutingChain, Rules: append(d.hairpins, iptables.Postrouting()...)},
			{Name: iptables.MarkMasqChain, Rules: []rules.Rule{{Target: rules.OrMark, Mark: iptables.MasqueradeMark}}},
		}},
	}}
}

// setDispatch looks VIPs up in ipsets, external ones too if there are any.
func setDispatch(s modes.Snapshot, outside bool) (d lookups) {
	returns := []Set{ClusterIPSet}
	if outside {
		d.services = append(d.services, rules.Rule{Comment: "Kubernetes service lb portal", Set: LoadBalancerSet.String(), SetDirs: clusterDirs, Chain: balancerChain})
		returns = []Set{LoadBalancerSet, ClusterIPSet, ExternalIPSet, ExternalLocalSet}
	}
	masquerade := rules.Rule{
		Comment: "Kubernetes service cluster ip + port for masquerade purpose",
		Set:     ClusterIPSet.String(), SetDirs: clusterDirs, Chain: iptables.MarkMasqChain,
	}
	switch {
	case s.Node.MasqueradeAll:
	case s.ClusterCIDR.IsValid():
		masquerade.Src, masquerade.NotSrc = s.ClusterCIDR, true
	default:
		// Nobody is known to be outside, but the node dials a VIP from the VIP itself,
		// where no endpoint could answer it.
		masquerade.SetDirs = fromVIPDirs
	}
	d.services = append(d.services, masquerade)
	if outside {
		d.services = append(d.services, externalDispatch()...)
	}
	d.services = append(d.services,
		rules.Rule{DstLocal: true, Chain: nodePortChain},
		rules.Rule{Set: ClusterIPSet.String(), SetDirs: clusterDirs, Target: rules.Accept})
	if outside {
		d.services = append(d.services, rules.Rule{Set: LoadBalancerSet.String(), SetDirs: clusterDirs, Target: rules.Accept})
	}
	d.hairpins = []rules.Rule{{
		Comment: "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
		Set:     LoopBackSet.String(), SetDirs: loopBackDirs, Target: rules.Masquerade,
	}}
	for _, set := range returns {
		d.access = append(d.access, rules.Rule{Set: set.String(), SetDirs: clusterDirs, Target: rules.Return})
	}
	if outside {
		d.access = append(d.access, rules.Rule{Set: HealthCheckSet.String(), SetDirs: "dst", Target: rules.Return})
	}
	d.access = append(d.access, rules.Rule{CTState: "NEW", Set: BoundSet.String(), SetDirs: "dst", Target: rules.Reject})
	return d
}

// externalDispatch is what KUBE-SERVICES has for ExternalIPs. (kube-proxy has one more
// rule, for packets that come in by a bridge and go to an address that is not local; here
// all are.)
func externalDispatch() []rules.Rule {
	const external, local = "Kubernetes service external ip + port for masquerade and filter purpose",
		"Kubernetes service external ip + port with externalTrafficPolicy=local"
	return []rules.Rule{
		{Comment: external, Set: ExternalIPSet.String(), SetDirs: clusterDirs, Chain: iptables.MarkMasqChain},
		{Comment: external, Set: ExternalIPSet.String(), SetDirs: clusterDirs, DstLocal: true, Target: rules.Accept},
		{Comment: local, Set: ExternalLocalSet.String(), SetDirs: clusterDirs, DstLocal: true, Target: rules.Accept},
	}
}

// ruleDispatch is the same without ipsets, for ClusterIPs alone: a rule for each entry
// that a set would have, in each place where the set is looked up.
func ruleDispatch(s modes.Snapshot) (d lookups) {
	var accept, reject []rules.Rule
	for _, svc := range s.Services {
		vip := modes.Host(svc.ClusterIP)
		reject = append(reject, rules.Rule{Dst: vip, CTState: "NEW", Target: rules.Reject})
		for _, p := range svc.Ports {
			to := rules.Rule{Proto: p.Protocol, Dst: vip, DPort: p.Port, Target: rules.Accept}
			accept = append(accept, to)
			masquerade := rules.Rule{Proto: p.Protocol, Dst: vip, DPort: p.Port, Chain: iptables.MarkMasqChain}
			switch {
			case s.Node.MasqueradeAll:
			case s.ClusterCIDR.IsValid():
				masquerade.Src, masquerade.NotSrc = s.ClusterCIDR, true
			default:
				masquerade.Src, masquerade.Dst = vip, netip.Prefix{}
			}
			d.services = append(d.services, masquerade)
			to.Target = rules.Return
			d.access = append(d.access, to)
			for _, ep := range svc.Reach(p).All {
				at := modes.Host(ep.Addr)
				d.hairpins = append(d.hairpins, rules.Rule{Proto: p.Protocol, Src: at, Dst: at, DPort: ep.At(p).Port(), Target: rules.Masquerade})
			}
		}
	}
	d.services = append(d.services, rules.Rule{DstLocal: true, Chain: nodePortChain})
	d.services, d.access = append(d.services, accept...), append(d.access, reject...)
	return d
}

// nameSets gives the sets of some rules their names in the kernel.
func (o Options) nameSets(list []rules.Rule) {
	if o.Family != modes.IPv6 {
		return
	}
	for s := ClusterIPSet; s < endOfSets; s++ {
		for i := range list {
			if list[i].Set == s.String() {
				list[i].Set = o.setName(s)
			}
		}
	}
}
