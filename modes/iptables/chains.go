package iptables

import (
	"viplab/modes"
	"viplab/modes/packet/rules"
)

// chains makes all chains of a Service. Which they are depends on the Service alone.
func (p *Planner) chains(svc *modes.Service, in scope) []*rules.Chain {
	var out []*rules.Chain
	for _, sp := range svc.Ports {
		port := portOf(svc, sp)
		out = append(out, p.portChains(&port, in)...)
		if port.external() {
			out = append(out, port.externalChains(in)...)
		}
	}
	return out
}

// chainNames is the names of what chains makes, in the same order.
func chainNames(svc *modes.Service) []string {
	out := make([]string, 0, len(svc.Ports)*(1+len(svc.Endpoints)))
	for _, sp := range svc.Ports {
		p := portOf(svc, sp)
		if len(p.Cluster) > 0 {
			out = append(out, p.all())
		}
		if len(p.Reach.Local) > 0 {
			out = append(out, p.local())
		}
		for _, ep := range p.All {
			out = append(out, p.endpoint(ep))
		}
		if p.external() {
			out = append(out, p.ext())
			if p.firewalled() {
				out = append(out, p.fw())
			}
		}
	}
	return out
}

// portChains makes KUBE-SVC-* and KUBE-SVL-* of one Service port and KUBE-SEP-* of each of
// its endpoints: 1 + E chains and 1 + 3E rules beside the dispatch rule.
func (p *Planner) portChains(port *port, in scope) []*rules.Chain {
	chains := make([]*rules.Chain, 0, len(port.All)+2)
	if len(port.Cluster) > 0 {
		chains = append(chains, p.policy(port, port.all(), port.Cluster, in))
	}
	if len(port.Reach.Local) > 0 {
		chains = append(chains, p.policy(port, port.local(), port.Reach.Local, in))
	}
	name := p.say(port.name)
	for _, ep := range port.All {
		sep := port.endpoint(ep)
		dnat := rules.Rule{Comment: name, Proto: port.Protocol, Target: rules.DNAT, To: ep.At(port.ServicePort)}
		if port.Affinity > 0 {
			dnat.Recent = sep
		}
		chains = append(chains, &rules.Chain{Name: sep, Rules: []rules.Rule{
			{Comment: name, Src: modes.Host(ep.Addr), Chain: MarkMasqChain}, dnat,
		}})
	}
	return chains
}

// say is a comment, "" in a large cluster.
func (p *Planner) say(comment string) string {
	if p.comments {
		return comment
	}
	return ""
}

// policy makes the chain of one traffic policy. What comes by the ClusterIP is marked for
// masquerading there; what comes by an external address is marked before it gets there.
func (p *Planner) policy(port *port, name string, to []modes.Endpoint, in scope) *rules.Chain {
	size := len(to) + 1
	if port.Affinity > 0 {
		size += len(to)
	}
	c := &rules.Chain{Name: name, Rules: make([]rules.Rule, 0, size)}
	if name == port.inner() && (in.masqueradeAll || in.cluster.IsValid()) {
		r := port.leaf()
		r.Comment, r.Chain = p.say(r.Comment), MarkMasqChain
		if !in.masqueradeAll {
			r.Src, r.NotSrc = in.cluster, true
		}
		c.Rules = append(c.Rules, r)
	}
	c.Rules = p.choose(c.Rules, port, to)
	return c
}

// choose appends the rules that pick one of some endpoints: under affinity the one
// that the client had, else each with the same chance.
func (p *Planner) choose(out []rules.Rule, port *port, from []modes.Endpoint) []rules.Rule {
	n := len(from)
	if port.Affinity > 0 {
		for _, ep := range from {
			sep := port.endpoint(ep)
			out = append(out, rules.Rule{Recent: sep, Seconds: uint32(port.Affinity.Seconds()), Chain: sep})
		}
	}
	for i, ep := range from {
		say := ""
		if p.comments {
			say = port.name + " -> " + ep.At(port.ServicePort).String()
		}
		out = append(out, rules.Rule{Comment: say, Chance: uint32(n - i), Chain: port.endpoint(ep)})
	}
	return out
}
