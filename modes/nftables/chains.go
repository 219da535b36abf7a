package nftables

import (
	"net/netip"
	"slices"

	"viplab/modes"
)

// external writes the chain of what comes by an external address. Under policy
// Cluster all of it is masqueraded, since the endpoint may be on another node. Under
// policy Local only what starts on the node is, and the cluster's own clients are
// served as by the ClusterIP.
func (p *port) external() {
	c := &Chain{Name: p.externalChain()}
	p.chains = append(p.chains, c)
	add := func(do Statement, matches ...Match) {
		c.Rules = append(c.Rules, Rule{If: matches, Do: []Statement{do}})
	}
	if !p.svc.ExternalLocal {
		add(orMark(MasqueradeMark))
		add(goTo(p.policyChain(false)))
		return
	}
	if p.scope.cluster.IsValid() {
		add(goTo(p.policyChain(false)), InPrefix{Src, p.scope.cluster, false})
	}
	add(orMark(MasqueradeMark), IsLocal{Src})
	add(goTo(p.policyChain(false)), IsLocal{Src})
	if len(p.Local) > 0 {
		add(goTo(p.policyChain(true)))
	}
}

// firewall writes the chain that drops what comes from elsewhere than the source
// ranges. Where the node is in them, so is a balancer's address, which the node's own
// packets to it have as their source if the node has that address.
func (p *port) firewall() {
	ranges := slices.Clone(p.svc.SourceRanges)
	if at := p.scope.known; at.IsValid() && slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(at) }) {
		for _, a := range p.svc.LoadBalancerIPs {
			ranges = append(ranges, modes.Host(a))
		}
	}
	p.chains = append(p.chains, &Chain{Name: p.chainName("firewall-"), Rules: []Rule{
		{If: []Match{InRanges{Src, disjoint(ranges), true}}, Do: []Statement{Verdict{Kind: Drop}}},
	}})
}

// disjoint sorts ranges and leaves out those that lie in another, which a set of
// intervals cannot hold.
func disjoint(ranges []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(ranges))
	for _, r := range ranges {
		sorted = append(sorted, r.Masked())
	}
	slices.SortFunc(sorted, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, r := range sorted {
		if len(out) == 0 || !out[len(out)-1].Contains(r.Addr()) {
			out = append(out, r)
		}
	}
	return out
}

// chainsOfEndpoints writes the chains that pick an endpoint, and, under affinity, a
// chain and a set of recent clients for each endpoint.
func (p *port) chainsOfEndpoints() {
	if p.wantsCluster {
		p.chains = append(p.chains, p.pick(p.chainName("service-"), p.Cluster))
	}
	if p.wantsLocal {
		p.chains = append(p.chains, p.pick(p.chainName("local-"), p.Local))
	}
	if p.svc.Affinity == 0 {
		return
	}
	for _, ep := range p.All {
		name := endpointName(p.svc, p.ServicePort, p.target(ep))
		set := &Set{Name: "affinity-" + name, Key: bySrc(), Timeout: p.svc.Affinity, Size: dynamicSize}
		p.sets = append(p.sets, set)
		p.chains = append(p.chains, &Chain{Name: "endpoint-" + name, Rules: []Rule{
			{Do: []Statement{Remember{set.Name, set.Timeout}}},
			{If: []Match{IsProtocol(p.Protocol)}, Do: []Statement{Translate{[]netip.AddrPort{p.target(ep)}}}},
		}})
	}
}

// pick makes a chain that goes on to one of some endpoints: under affinity to the one
// that the client had, else to each with the same chance.
func (p *port) pick(chain string, from []modes.Endpoint) *Chain {
	c := &Chain{Name: chain}
	if p.svc.Affinity == 0 {
		var to []netip.AddrPort
		for _, ep := range from {
			to = append(to, p.target(ep))
		}
		c.Rules = []Rule{{If: []Match{IsProtocol(p.Protocol)}, Do: []Statement{Translate{to}}}}
		return c
	}
	var names []string
	for _, ep := range from {
		name := endpointName(p.svc, p.ServicePort, p.target(ep))
		names = append(names, "endpoint-"+name)
		c.Rules = append(c.Rules, Rule{If: []Match{InSet{bySrc(), "affinity-" + name}}, Do: []Statement{goTo("endpoint-" + name)}})
	}
	c.Rules = append(c.Rules, Rule{Do: []Statement{Choose{names}}})
	return c
}
