package iptables

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// Chains of what comes from outside of the cluster.
const (
	ExternalServicesChain = "KUBE-EXTERNAL-SERVICES"
	FirewallChain         = "KUBE-PROXY-FIREWALL"
)

func externalChain(portName string, proto modes.Protocol) string {
	return hashed("KUBE-EXT-", portText(portName, proto))
}

func localChain(portName string, proto modes.Protocol) string {
	return hashed("KUBE-SVL-", portText(portName, proto))
}

func sourcesChain(portName string, proto modes.Protocol) string {
	return hashed("KUBE-FW-", portText(portName, proto))
}

// match is a rule that matches packets for an address and port.
func match(comment string, port modes.ServicePort, to netip.Addr) rules.Rule {
	return rules.Rule{Comment: comment, Proto: port.Protocol, Dst: modes.Host(to), DPort: port.Port}
}

// externalLeaves is the dispatch rules of a Service port's external addresses.
func (p *port) externalLeaves() []rules.Rule {
	var out []rules.Rule
	for _, ip := range p.ExternalIPs {
		r := match(p.name+" external IP", p.ServicePort, ip)
		r.Chain = p.ext()
		out = append(out, r)
	}
	for _, ip := range p.LoadBalancerIPs {
		r := match(p.name+" loadbalancer IP", p.ServicePort, ip)
		r.Chain = p.ext()
		if p.firewalled() {
			r.Chain = p.fw()
		}
		out = append(out, r)
	}
	return out
}

// outside is the part of the fixed chains that external addresses add to.
type outside struct {
	nodePorts []rules.Rule // of KUBE-NODEPORTS
	refused   []rules.Rule // of KUBE-EXTERNAL-SERVICES
	firewall  []rules.Rule // of KUBE-PROXY-FIREWALL
	health    []rules.Rule // of KUBE-NODEPORTS in the filter table
}

func (o *outside) add(svc *modes.Service) {
	if svc.HealthPort != 0 {
		o.health = append(o.health, rules.Rule{Comment: svc.Key() + " health check node port", Proto: modes.TCP, DPort: svc.HealthPort, Target: rules.Accept})
	}
	for _, sp := range svc.Ports {
		if svc.ExternalAt(sp) {
			p := portOf(svc, sp)
			o.addPort(&p)
		}
	}
}

func (o *outside) addPort(p *port) {
	if p.NodePort != 0 && p.Any {
		o.nodePorts = append(o.nodePorts, rules.Rule{Comment: p.name, Proto: p.Protocol, DPort: p.NodePort, Chain: p.ext()})
	}
	if p.firewalled() {
		for _, ip := range p.LoadBalancerIPs {
			r := match(p.name+" traffic not accepted by "+p.fw(), p.ServicePort, ip)
			r.Target = rules.Drop
			o.firewall = append(o.firewall, r)
		}
	}
	if p.outside() {
		return
	}
	comment, target := p.unserved()
	if p.NodePort != 0 {
		o.refused = append(o.refused, rules.Rule{Comment: comment, DstLocal: true, Proto: p.Protocol, DPort: p.NodePort, Target: target})
	}
	for _, ips := range [][]netip.Addr{p.ExternalIPs, p.LoadBalancerIPs} {
		for _, ip := range ips {
			r := match(comment, p.ServicePort, ip)
			r.Target = target
			o.refused = append(o.refused, r)
		}
	}
}

// externalChains makes KUBE-EXT-* and KUBE-FW-* of a Service port.
func (p *port) externalChains(m *maker, in scope) {
	ext := m.chain(p.ext(), 4)
	if p.firewalled() {
		p.sources(m, in.node)
	}
	if !p.ExternalLocal {
		ext.Rules = append(ext.Rules, rules.Rule{Comment: "masquerade traffic for " + p.name + " external destinations", Chain: MarkMasqChain}, rules.Rule{Chain: p.all()})
		return
	}
	if in.cluster.IsValid() {
		ext.Rules = append(ext.Rules, rules.Rule{Comment: "pod traffic for " + p.name + " external destinations", Src: in.cluster, Chain: p.all()})
	}
	ext.Rules = append(ext.Rules,
		rules.Rule{Comment: "masquerade LOCAL traffic for " + p.name + " external destinations", SrcLocal: true, Chain: MarkMasqChain},
		rules.Rule{Comment: "route LOCAL traffic for " + p.name + " external destinations", SrcLocal: true, Chain: p.all()})
	if len(p.Reach.Local) > 0 {
		ext.Rules = append(ext.Rules, rules.Rule{Chain: p.local()})
	}
}

// sources makes KUBE-FW-*, which lets the sources of a balancer's clients on. Where the node
// is among them, packets that it sends to the balancer's address with that address as
// their source are too: so they look on a node that has the address itself.
func (p *port) sources(m *maker, node netip.Addr) {
	fw, fromNode := m.chain(p.fw(), len(p.SourceRanges)+len(p.LoadBalancerIPs)), false
	let := func(from netip.Prefix) {
		fw.Rules = append(fw.Rules, rules.Rule{Comment: p.name + " loadbalancer IP", Src: from, Chain: p.ext()})
	}
	for _, r := range p.SourceRanges {
		let(r)
		fromNode = fromNode || r.Contains(node)
	}
	if fromNode {
		for _, ip := range p.LoadBalancerIPs {
			let(modes.Host(ip))
		}
	}
}
