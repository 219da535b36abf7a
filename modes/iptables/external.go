package iptables

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/rules"
)

// Chains of what comes from outside of the cluster.
const (
	ExternalServicesChain = "KUBE-EXTERNAL-SERVICES"
	FirewallChain         = "KUBE-PROXY-FIREWALL"
)

func externalChain(portName string, proto modes.Protocol) string {
	return "KUBE-EXT-" + hash16(portName, string(proto))
}

func localChain(portName string, proto modes.Protocol) string {
	return "KUBE-SVL-" + hash16(portName, string(proto))
}

func sourcesChain(portName string, proto modes.Protocol) string {
	return "KUBE-FW-" + hash16(portName, string(proto))
}

// served tells whether external traffic has an endpoint to go to.
func served(svc *modes.Service) bool {
	if svc.ExternalLocal {
		return len(svc.Local()) > 0
	}
	return len(svc.Endpoints) > 0
}

// match is a rule that matches packets for an address and port.
func match(comment string, port modes.ServicePort, to netip.Addr) rules.Rule {
	return rules.Rule{Comment: comment, Proto: port.Protocol, Dst: modes.Host(to), DPort: port.Port}
}

// externalLeaves is the dispatch rules of a Service port's external addresses. Under
// policy Local they are there as long as the Service has any endpoint, since
// clients of the cluster itself are served by all of them.
func externalLeaves(svc *modes.Service, port modes.ServicePort) []rules.Rule {
	name := svc.PortName(port)
	var out []rules.Rule
	for _, ip := range svc.ExternalIPs {
		r := match(name+" external IP", port, ip)
		r.Chain = externalChain(name, port.Protocol)
		out = append(out, r)
	}
	for _, ip := range svc.LoadBalancerIPs {
		r := match(name+" loadbalancer IP", port, ip)
		r.Chain = externalChain(name, port.Protocol)
		if len(svc.SourceRanges) > 0 {
			r.Chain = sourcesChain(name, port.Protocol)
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
	if !svc.External() {
		return
	}
	for _, port := range svc.Ports {
		o.addPort(svc, port)
	}
	if svc.HealthPort != 0 {
		o.health = append(o.health, rules.Rule{Comment: svc.Key() + " health check node port", Proto: modes.TCP, DPort: svc.HealthPort, Target: rules.Accept})
	}
}

func (o *outside) addPort(svc *modes.Service, port modes.ServicePort) {
	name := svc.PortName(port)
	if port.NodePort != 0 && len(svc.Endpoints) > 0 {
		o.nodePorts = append(o.nodePorts, rules.Rule{Comment: name, Proto: port.Protocol, DPort: port.NodePort, Chain: externalChain(name, port.Protocol)})
	}
	if len(svc.SourceRanges) > 0 {
		for _, ip := range svc.LoadBalancerIPs {
			r := match(name+" traffic not accepted by "+sourcesChain(name, port.Protocol), port, ip)
			r.Target = rules.Drop
			o.firewall = append(o.firewall, r)
		}
	}
	if served(svc) {
		return
	}
	// Without any endpoint a client is refused; under policy Local without one on
	// this node it is ignored, so that a load balancer tries another node.
	comment, target := name+" has no endpoints", rules.Reject
	if len(svc.Endpoints) > 0 {
		comment, target = name+" has no local endpoints", rules.Drop
	}
	if port.NodePort != 0 {
		o.refused = append(o.refused, rules.Rule{Comment: comment, DstLocal: true, Proto: port.Protocol, DPort: port.NodePort, Target: target})
	}
	for _, ips := range [][]netip.Addr{svc.ExternalIPs, svc.LoadBalancerIPs} {
		for _, ip := range ips {
			r := match(comment, port, ip)
			r.Target = target
			o.refused = append(o.refused, r)
		}
	}
}

// externalChains makes KUBE-EXT-*, KUBE-FW-* and KUBE-SVL-* of a Service port.
func (p *Planner) externalChains(svc *modes.Service, port modes.ServicePort, cluster netip.Prefix) []*rules.Chain {
	name := svc.PortName(port)
	all := ServiceChain(name, port.Protocol)
	ext := &rules.Chain{Name: externalChain(name, port.Protocol)}
	out := []*rules.Chain{ext}
	if len(svc.SourceRanges) > 0 && len(svc.LoadBalancerIPs) > 0 {
		fw := &rules.Chain{Name: sourcesChain(name, port.Protocol)}
		for _, r := range svc.SourceRanges {
			fw.Rules = append(fw.Rules, rules.Rule{Comment: name + " loadbalancer IP", Src: r, Chain: ext.Name})
		}
		out = append(out, fw)
	}
	if !svc.ExternalLocal {
		ext.Rules = []rules.Rule{{Comment: "masquerade traffic for " + name + " external destinations", Chain: MarkMasqChain}, {Chain: all}}
		return out
	}
	if cluster.IsValid() {
		ext.Rules = append(ext.Rules, rules.Rule{Comment: "pod traffic for " + name + " external destinations", Src: cluster, Chain: all})
	}
	ext.Rules = append(ext.Rules,
		rules.Rule{Comment: "masquerade LOCAL traffic for " + name + " external destinations", SrcLocal: true, Chain: MarkMasqChain},
		rules.Rule{Comment: "route LOCAL traffic for " + name + " external destinations", SrcLocal: true, Chain: all})
	if len(svc.Local()) > 0 {
		ext.Rules = append(ext.Rules, rules.Rule{Chain: localChain(name, port.Protocol)})
	}
	return out
}
