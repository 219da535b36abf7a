package iptables

import (
	"viplab/modes"
	"viplab/modes/packet/rules"
)

// maker makes the chains of a Service, in memory that it can use again for the next: fresh
// memory is what the chains of 20000 Services cost most, above all in a guest.
type maker struct {
	made   []*rules.Chain
	chains []rules.Chain
	rules  []rules.Rule
}

// again forgets what was made, whose memory is used again.
func (m *maker) again() { m.made, m.chains, m.rules = m.made[:0], m.chains[:0], m.rules[:0] }

// chain makes one with room for so many rules.
func (m *maker) chain(name string, size int) *rules.Chain {
	c := &room(&m.chains, 1)[:1][0]
	*c = rules.Chain{Name: name, Rules: room(&m.rules, size)}
	m.made = append(m.made, c)
	return c
}

// room takes room for n elements from a block, or from a larger one where it is full.
func room[T any](block *[]T, n int) []T {
	at := len(*block)
	if at+n > cap(*block) {
		*block, at = make([]T, 0, max(n, 2*cap(*block))), 0
	}
	*block = (*block)[:at+n]
	return (*block)[at : at : at+n]
}

// chains makes all chains of a Service. Which they are depends on the Service alone.
func (p *Planner) chains(m *maker, svc *modes.Service, in scope) []*rules.Chain {
	for _, sp := range svc.Ports {
		port := portOf(svc, sp)
		p.portChains(m, &port, in)
		if port.external() {
			port.externalChains(m, in)
		}
	}
	return m.made
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
		out = append(out, p.endpoints(p.All)...)
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
func (p *Planner) portChains(m *maker, port *port, in scope) {
	seps := port.endpoints(port.All)
	if len(port.Cluster) > 0 {
		p.policy(m, port, port.all(), port.Cluster, in)
	}
	if len(port.Reach.Local) > 0 {
		p.policy(m, port, port.local(), port.Reach.Local, in)
	}
	name := p.say(port.name)
	for i, ep := range port.All {
		dnat := rules.Rule{Comment: name, Proto: port.Protocol, Target: rules.DNAT, To: ep.At(port.ServicePort)}
		if port.Affinity > 0 {
			dnat.Recent = seps[i]
		}
		c := m.chain(seps[i], 2)
		c.Rules = append(c.Rules, rules.Rule{Comment: name, Src: modes.Host(ep.Addr), Chain: MarkMasqChain}, dnat)
	}
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
func (p *Planner) policy(m *maker, port *port, name string, to []modes.Endpoint, in scope) {
	size := len(to) + 1
	if port.Affinity > 0 {
		size += len(to)
	}
	c := m.chain(name, size)
	if name == port.inner() && (in.masqueradeAll || in.cluster.IsValid()) {
		r := match(p.say(port.name+clusterIP), port.ServicePort, port.ClusterIP)
		r.Chain = MarkMasqChain
		if !in.masqueradeAll {
			r.Src, r.NotSrc = in.cluster, true
		}
		c.Rules = append(c.Rules, r)
	}
	c.Rules = p.choose(c.Rules, port, to)
}

// choose appends the rules that pick one of some endpoints: under affinity the one
// that the client had, else each with the same chance.
func (p *Planner) choose(out []rules.Rule, port *port, from []modes.Endpoint) []rules.Rule {
	n, seps := len(from), port.endpoints(from)
	if port.Affinity > 0 {
		for _, sep := range seps {
			out = append(out, rules.Rule{Recent: sep, Seconds: uint32(port.Affinity.Seconds()), Chain: sep})
		}
	}
	for i, ep := range from {
		say := ""
		if p.comments {
			say = port.name + " -> " + ep.At(port.ServicePort).String()
		}
		out = append(out, rules.Rule{Comment: say, Chance: uint32(n - i), Chain: seps[i]})
	}
	return out
}
