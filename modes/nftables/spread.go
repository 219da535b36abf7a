package nftables

import (
	"fmt"
	"net/netip"

	"viplab/modes"
)

// balancer is a chain that picks one of a number of endpoints for all Services that
// have that number.
type balancer struct {
	n    uint32
	kind kind
}

// kind is where a balancer's packets come from.
type kind uint32

// Kinds of balancers. In layout [Count] they stand above the number of endpoints in
// the value of the big maps.
const (
	internal kind = iota << 24 // by a ClusterIP
	external kind = iota << 24 // by another address of a Service
	nodePort kind = iota << 24 // by a node port
)

// number is the value that leads to the balancer.
func (b balancer) number() uint32 { return b.n | uint32(b.kind) }

// name is the name of the chain.
func (b balancer) name() string {
	suffix := map[kind]string{internal: "", external: "-external", nodePort: "-nodeport"}
	return fmt.Sprintf("lb-%d%s", b.n, suffix[b.kind])
}

// chain makes the balancer's chain.
func (b balancer) chain(o Options, in scope) *Chain {
	c := &Chain{Name: b.name()}
	var matches []Match
	mark, clean := orMark(MasqueradeMark), false
	if o.layout() == Count && o.apply() == Tool {
		// The number is in the mark, and has to go.
		mark, clean = newMark(MasqueradeMark), true
	}
	if b.kind == internal {
		matches = in.outsiders()
		if clean {
			c.Rules = append(c.Rules, Rule{Do: []Statement{newMark(0)}})
		}
	}
	// In layout Shared the ClusterIPs were looked at before.
	if b.kind != internal || o.layout() == Count && in.masquerades() {
		c.Rules = append(c.Rules, Rule{If: matches, Do: []Statement{mark}})
	}
	by, to := byService(), serviceEndpoints
	if b.kind == nodePort {
		by, to = byNodePort(), nodePortEndpoints
	}
	if o.apply() != Tool {
		c.Rules = append(c.Rules, Rule{Do: []Statement{TranslateBy{slotOf(by, b.n), to}}})
		return c
	}
	for _, p := range modes.Protocols() {
		c.Rules = append(c.Rules, Rule{If: []Match{IsProtocol(p)}, Do: []Statement{TranslateBy{slotOf(by, b.n), slotSet(to, p)}}})
	}
	return c
}

// element leads to the balancer in layout [Count].
func (b balancer) element() Element {
	return Element{In: balancers, Key: string(appendNumber(nil, b.number())), Data: string(appendVerdict(nil, goTo(b.name())))}
}

// spread writes an address of the Service that leads to some endpoints without any
// chain of the Service's own, if the layout has that, and says whether it does. An
// address that is not valid stands for the node port.
func (p *port) spread(a netip.Addr, to []modes.Endpoint, outside bool) bool {
	if p.svc.Affinity > 0 {
		return false
	}
	switch p.layout() {
	case Direct:
		if len(to) != 1 || outside {
			return false
		}
		p.element(singleEndpoints, p.key(a), p.target(to[0]))
		return true
	case KubeProxy:
		return false
	}
	b := balancer{n: uint32(len(to)), kind: internal}
	verdicts, numbers, slots := serviceIPs, serviceCounts, serviceEndpoints
	var key span
	switch {
	case !a.IsValid():
		b.kind, verdicts, numbers, slots = nodePort, serviceNodePorts, nodePortCounts, nodePortEndpoints
		key = p.nodeKey()
	case outside:
		b.kind, key = external, p.key(a)
	default:
		key = p.key(a)
	}
	p.balancers = append(p.balancers, b)
	if p.layout() == Count {
		p.add(numbers, key, func(to []byte) []byte { return appendNumber(to, b.number()) })
	} else {
		p.verdict(verdicts, key, goTo(b.name()))
	}
	if p.apply() == Tool {
		slots = slotSet(slots, p.Protocol)
	}
	for i, ep := range to {
		from := len(p.buf)
		p.buf = appendNumber(append(p.buf, p.buf[key.from:key.to]...), uint32(i))
		p.element(slots, span{from, len(p.buf)}, p.target(ep))
	}
	return true
}

// spreadOutside is spread for an address from outside. Under external traffic policy
// Local it depends on the client which endpoints there are, so that chains are needed.
func (p *port) spreadOutside(a netip.Addr) bool {
	return !p.svc.ExternalLocal && p.spread(a, p.Cluster, true)
}

// usesExternalChain tells whether outside addresses lead to a chain.
func (p *port) usesExternalChain() bool {
	if !p.Any || !p.svc.ExternalAt(p.ServicePort) {
		return false
	}
	shares := p.layout() == Count || p.layout() == Shared
	return !shares || p.svc.ExternalLocal || p.svc.Affinity > 0
}
