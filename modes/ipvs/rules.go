package ipvs

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/rules"
)

const (
	nodePortChain = "KUBE-NODE-PORT"
	clusterDirs   = "dst,dst"
	loopBackDirs  = "dst,dst,src"
)

// Rules is the iptables part of the mode: what to masquerade is looked up in ipsets,
// so the rules do not grow with the Services; or it is not, and they do. outside adds
// what Services need that are reached from outside.
func (o Options) Rules(s modes.Snapshot, outside bool) rules.Ruleset {
	services, hairpins := setDispatch(s.ClusterCIDR)
	if o.byRules() {
		services, hairpins = ruleDispatch(s)
	}
	rs := around(services, hairpins)
	if outside {
		rs = externalRules(rs)
	}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			o.nameSets(c.Rules)
		}
	}
	return rs
}

// around puts the fixed rules around those that lead to the VIPs and those for hairpins.
func around(services, hairpins []rules.Rule) rules.Ruleset {
	const portals = "kubernetes service portals"
	postrouting := append(hairpins, iptables.Postrouting()...)
	return rules.Ruleset{Tables: []rules.Table{
		{Name: "filter", Chains: []*rules.Chain{
			{Name: "FORWARD", Rules: []rules.Rule{{Comment: "kubernetes forwarding rules", Chain: iptables.ForwardChain}}},
			{Name: iptables.ForwardChain, Rules: []rules.Rule{
				{Comment: "kubernetes forwarding rules", HasMark: iptables.MasqueradeMark, Target: rules.Accept},
				{Comment: "kubernetes forwarding conntrack rule", CTState: "RELATED,ESTABLISHED", Target: rules.Accept},
			}},
		}},
		{Name: "nat", Chains: []*rules.Chain{
			{Name: "PREROUTING", Rules: []rules.Rule{{Comment: portals, Chain: iptables.ServicesChain}}},
			{Name: "OUTPUT", Rules: []rules.Rule{{Comment: portals, Chain: iptables.ServicesChain}}},
			{Name: "POSTROUTING", Rules: []rules.Rule{{Comment: "kubernetes postrouting rules", Chain: iptables.PostroutingChain}}},
			{Name: iptables.ServicesChain, Rules: services},
			{Name: nodePortChain},
			{Name: iptables.PostroutingChain, Rules: postrouting},
			{Name: iptables.MarkMasqChain, Rules: []rules.Rule{{Target: rules.OrMark, Mark: iptables.MasqueradeMark}}},
		}},
	}}
}

// setDispatch is KUBE-SERVICES and the hairpin rule with ipsets.
func setDispatch(cluster netip.Prefix) (services, hairpins []rules.Rule) {
	if cluster.IsValid() {
		services = append(services, rules.Rule{
			Comment: "Kubernetes service cluster ip + port for masquerade purpose",
			Src:     cluster, NotSrc: true, Set: ClusterIPSet, SetDirs: clusterDirs, Chain: iptables.MarkMasqChain,
		})
	}
	services = append(services,
		rules.Rule{DstLocal: true, Chain: nodePortChain},
		rules.Rule{Set: ClusterIPSet, SetDirs: clusterDirs, Target: rules.Accept},
	)
	return services, []rules.Rule{{
		Comment: "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
		Set:     LoopBackSet, SetDirs: loopBackDirs, Target: rules.Masquerade,
	}}
}

// ruleDispatch is the same without ipsets: a rule for each entry that a set would
// have, in each place where the set is looked up.
func ruleDispatch(s modes.Snapshot) (services, hairpins []rules.Rule) {
	var accept []rules.Rule
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			r := rules.Rule{Proto: p.Protocol, Dst: modes.Host(svc.ClusterIP), DPort: p.Port, Target: rules.Accept}
			accept = append(accept, r)
			if s.ClusterCIDR.IsValid() {
				r.Src, r.NotSrc, r.Target, r.Chain = s.ClusterCIDR, true, rules.Jump, iptables.MarkMasqChain
				services = append(services, r)
			}
			for _, ep := range svc.Reach(p).All {
				at := modes.Host(ep.Addr)
				hairpins = append(hairpins, rules.Rule{Proto: p.Protocol, Src: at, Dst: at, DPort: ep.At(p).Port(), Target: rules.Masquerade})
			}
		}
	}
	services = append(services, rules.Rule{DstLocal: true, Chain: nodePortChain})
	return append(services, accept...), hairpins
}

// nameSets gives the sets of some rules their names in the kernel.
func (o Options) nameSets(list []rules.Rule) {
	for i := range list {
		if list[i].Set != "" {
			list[i].Set = o.setName(list[i].Set)
		}
	}
}
