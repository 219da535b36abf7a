package ipvs

import (
	"net/netip"
	"slices"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/rules"
)

// outer lists the endpoints of traffic from outside to a port. As in kube-proxy all of
// them serve under policy Local too if none is on this node; the iptables modes drop
// such traffic instead.
func outer(svc *modes.Service, p modes.ServicePort) []modes.Endpoint {
	r := svc.Reach(p)
	if !svc.ExternalLocal || len(r.Local) == 0 {
		return r.Cluster
	}
	return r.Local
}

// inner lists the endpoints of traffic to the ClusterIP.
func inner(svc *modes.Service, p modes.ServicePort) []modes.Endpoint {
	if svc.InternalLocal {
		return svc.Reach(p).Local
	}
	return svc.Reach(p).Cluster
}

// external appends what a Service's external addresses and node ports need.
func external(ops []Op, svc *modes.Service, nodes []netip.Addr) []Op {
	if svc.HealthPort != 0 {
		at := netip.AddrPortFrom(svc.Family().Unspecified(), svc.HealthPort)
		ops = append(ops, Op{Kind: AddEntry, Set: HealthCheckSet, Proto: modes.TCP, VIP: at})
	}
	for _, a := range slices.Concat(svc.ExternalIPs, svc.LoadBalancerIPs) {
		ops = append(ops, Op{Kind: AddAddress, VIP: netip.AddrPortFrom(a, 0), Shared: true})
	}
	for _, p := range svc.Ports {
		to := outer(svc, p)
		entry := func(set string, vip netip.AddrPort) {
			ops = append(ops, Op{Kind: AddEntry, Set: set, Proto: p.Protocol, VIP: vip})
		}
		for _, a := range svc.ExternalIPs {
			vip := netip.AddrPortFrom(a, p.Port)
			ops = serve(ops, svc, p, vip, to)
			if svc.ExternalLocal {
				entry(ExternalLocalSet, vip)
			} else {
				entry(ExternalIPSet, vip)
			}
		}
		for _, a := range svc.LoadBalancerIPs {
			vip := netip.AddrPortFrom(a, p.Port)
			ops = serve(ops, svc, p, vip, to)
			entry(LoadBalancerSet, vip)
			if svc.ExternalLocal {
				entry(BalancerLocalSet, vip)
			}
			for i, source := range svc.SourceRanges {
				if i == 0 {
					entry(BalancerFWSet, vip)
				}
				ops = append(ops, Op{Kind: AddEntry, Set: BalancerSourceSet, Proto: p.Protocol, VIP: vip, Source: source.Masked()})
			}
		}
		if p.NodePort == 0 {
			continue
		}
		for _, node := range nodes {
			ops = serve(ops, svc, p, netip.AddrPortFrom(node, p.NodePort), to)
		}
		at := []netip.Addr{svc.Family().Unspecified()}
		if p.Protocol == modes.SCTP {
			at = nodes
		}
		for _, node := range at {
			entry(nodePortSet(false, p.Protocol), netip.AddrPortFrom(node, p.NodePort))
			if svc.ExternalLocal {
				entry(nodePortSet(true, p.Protocol), netip.AddrPortFrom(node, p.NodePort))
			}
		}
	}
	return ops
}

const (
	balancerChain = "KUBE-LOAD-BALANCER"
	sourcesChain  = "KUBE-SOURCE-RANGES-FIREWALL"
)

// externalRules adds to the mode's constant rules those for Services that are
// reached from outside. They do not grow with the Services either.
func externalRules(rs rules.Ruleset) rules.Ruleset {
	rs = rs.Fixed()
	for i := range rs.Tables {
		t := &rs.Tables[i]
		for j, c := range t.Chains {
			if t.Name != "nat" {
				continue
			}
			switch c.Name {
			case iptables.ServicesChain:
				t.Chains[j] = &rules.Chain{Name: c.Name, Rules: outsideDispatch(c.Rules)}
			case nodePortChain:
				t.Chains[j] = &rules.Chain{Name: c.Name, Rules: nodePortRules()}
			}
		}
		if t.Name == "nat" {
			t.Chains = append(t.Chains, &rules.Chain{Name: balancerChain, Rules: []rules.Rule{
				{Set: BalancerLocalSet, SetDirs: clusterDirs, Target: rules.Return}, {Chain: iptables.MarkMasqChain},
			}})
			continue
		}
		t.Chains = append(t.Chains,
			&rules.Chain{Name: "INPUT", Rules: []rules.Rule{
				{Comment: "kube-proxy firewall rules", Chain: iptables.FirewallChain},
				{Comment: "kubernetes health check rules", Chain: nodePortChain},
			}},
			&rules.Chain{Name: nodePortChain, Rules: []rules.Rule{
				{Comment: "Kubernetes health check node port", Set: HealthCheckSet, SetDirs: "dst", Target: rules.Accept},
			}},
			&rules.Chain{Name: iptables.FirewallChain, Rules: []rules.Rule{
				{Comment: "Kubernetes service load balancer ip + port for load balancer with sourceRange", Set: BalancerFWSet, SetDirs: clusterDirs, Chain: sourcesChain},
			}},
			&rules.Chain{Name: sourcesChain, Rules: []rules.Rule{
				{Set: BalancerSourceSet, SetDirs: loopBackDirs, Target: rules.Return}, {Target: rules.Drop},
			}})
	}
	return rs
}

// outsideDispatch puts what is looked up for external addresses around the rules
// for VIPs.
func outsideDispatch(plain []rules.Rule) []rules.Rule {
	out := []rules.Rule{{Comment: "Kubernetes service lb portal", Set: LoadBalancerSet, SetDirs: clusterDirs, Chain: balancerChain}}
	last := len(plain) - 1 // ACCEPT of VIPs
	out = append(out, plain[:last-1]...)
	out = append(out, rules.Rule{Comment: "Kubernetes service external ip + port for masquerade and filter purpose",
		Set: ExternalIPSet, SetDirs: clusterDirs, Chain: iptables.MarkMasqChain})
	out = append(out, plain[last-1:]...)
	for _, set := range []string{ExternalIPSet, ExternalLocalSet, LoadBalancerSet} {
		out = append(out, rules.Rule{Set: set, SetDirs: clusterDirs, Target: rules.Accept})
	}
	return out
}

func nodePortRules() []rules.Rule {
	var out []rules.Rule
	for _, proto := range modes.Protocols() {
		dirs := "dst"
		if proto == modes.SCTP {
			dirs = clusterDirs
		}
		out = append(out,
			rules.Rule{Proto: proto, Set: nodePortSet(true, proto), SetDirs: dirs, Target: rules.Return},
			rules.Rule{Proto: proto, Set: nodePortSet(false, proto), SetDirs: dirs, Chain: iptables.MarkMasqChain})
	}
	return out
}
