package ipvs

import (
	"net/netip"
	"slices"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/packet/rules"
)

// hasExternal tells whether any Service is reached from outside.
func hasExternal(s modes.Snapshot) bool {
	return slices.ContainsFunc(s.Services, (*modes.Service).External)
}

// addOutside adds to the mode's rules those for Services that are reached from outside.
// Of these only shut, what the node itself must not reach, grows with the Services.
func addOutside(rs *rules.Ruleset, shut []rules.Rule) {
	firewall := rules.Rule{Comment: "kube-proxy firewall rules", Chain: iptables.FirewallChain}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			switch {
			case t.Name == "filter" && c.Name == "INPUT":
				c.Rules = append(c.Rules, firewall, rules.Rule{Comment: "kubernetes health check rules", Chain: nodePortChain})
			case t.Name == "filter" && c.Name == "FORWARD":
				c.Rules = append([]rules.Rule{firewall}, c.Rules...)
			case t.Name == "nat" && c.Name == nodePortChain:
				c.Rules = nodePortRules()
			}
		}
	}
	rs.AppendChains("nat", &rules.Chain{Name: balancerChain, Rules: []rules.Rule{
		{Set: BalancerLocalSet.String(), SetDirs: clusterDirs, Target: rules.Return}, {Chain: iptables.MarkMasqChain},
	}})
	rs.AppendChains("filter",
		&rules.Chain{Name: "OUTPUT", Rules: []rules.Rule{{Comment: "kubernetes ipvs access filter", Chain: outAccessChain}}},
		&rules.Chain{Name: nodePortChain, Rules: []rules.Rule{
			{Comment: "Kubernetes health check node port", Set: HealthCheckSet.String(), SetDirs: "dst", Target: rules.Accept},
		}},
		&rules.Chain{Name: iptables.FirewallChain, Rules: []rules.Rule{
			{Comment: "Kubernetes service load balancer ip + port for load balancer with sourceRange", Set: BalancerFWSet.String(), SetDirs: clusterDirs, Chain: sourcesChain},
		}},
		&rules.Chain{Name: sourcesChain, Rules: []rules.Rule{
			{Set: BalancerSourceSet.String(), SetDirs: loopBackDirs, Target: rules.Return},
			{Set: BalancerSelfSet.String(), SetDirs: loopBackDirs, Target: rules.Return},
			{Target: rules.Drop},
		}},
		&rules.Chain{Name: outAccessChain, Rules: shut})
}

func nodePortRules() []rules.Rule {
	var out []rules.Rule
	for _, proto := range modes.Protocols() {
		dirs := "dst"
		if proto == modes.SCTP {
			dirs = clusterDirs
		}
		out = append(out,
			rules.Rule{Proto: proto, Set: nodePortSet(true, proto).String(), SetDirs: dirs, Target: rules.Return},
			rules.Rule{Proto: proto, Set: nodePortSet(false, proto).String(), SetDirs: dirs, Chain: iptables.MarkMasqChain})
	}
	return out
}

// shut is a rule for each balancer's address whose source ranges leave the node out. IPVS
// takes the node's own packets before they come to a filter, which then sees them on
// their way to an endpoint: from the VIP that the node dialled or, where that is no
// address but a route of IPv6, from an address of the node's.
func (n node) shut(s modes.Snapshot) (out []rules.Rule) {
	for _, svc := range s.Services {
		if !restricted(svc) || n.allowed(svc) {
			continue
		}
		for _, a := range svc.LoadBalancerIPs {
			for _, p := range svc.Ports {
				out = append(out, rules.Rule{SrcLocal: true, Proto: p.Protocol, Virtual: true, To: netip.AddrPortFrom(a, p.Port), Target: rules.Drop})
			}
		}
	}
	return out
}

// restricted tells whether a Service may have such a rule.
func restricted(svc *modes.Service) bool {
	return svc != nil && len(svc.SourceRanges) > 0 && len(svc.LoadBalancerIPs) > 0
}
