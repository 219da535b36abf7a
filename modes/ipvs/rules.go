package ipvs

import (
	"net/netip"

	"viplab/modes/iptables"
	"viplab/modes/rules"
)

const (
	nodePortChain = "KUBE-NODE-PORT"
	clusterDirs   = "dst,dst"
	loopBackDirs  = "dst,dst,src"
)

// Rules is the constant iptables part of the mode: what to masquerade is looked
// up in ipsets, so the rules do not grow with the Services.
func Rules(cluster netip.Prefix) rules.Ruleset {
	const portals = "kubernetes service portals"
	var services []rules.Rule
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
	postrouting := append([]rules.Rule{{
		Comment: "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
		Set:     LoopBackSet, SetDirs: loopBackDirs, Target: rules.Masquerade,
	}}, iptables.Postrouting()...)
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
