package iptables

import (
	"slices"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// port is a port of a Service with what kube-proxy derives from both.
type port struct {
	*modes.Service
	modes.ServicePort
	modes.Reach
	name string // [modes.Service.PortName]

	// Names that were made already: to hash them is a good part of planning.
	svc  string
	seps []string // of All
}

func portOf(svc *modes.Service, p modes.ServicePort) port {
	return port{Service: svc, ServicePort: p, Reach: svc.Reach(p), name: svc.PortName(p)}
}

// inside and outside tell whether traffic to the ClusterIP and to external addresses
// has an endpoint to go to.
func (p *port) inside() bool  { return p.Any && (!p.InternalLocal || len(p.Reach.Local) > 0) }
func (p *port) outside() bool { return p.Any && (!p.ExternalLocal || len(p.Reach.Local) > 0) }

// external tells whether the port has KUBE-EXT-*. Under policy Local it is there as long
// as there is any endpoint, since clients of the cluster itself are served by all of them.
func (p *port) external() bool { return p.Any && p.ExternalAt(p.ServicePort) }

// firewalled tells whether only some sources are served at balancers' addresses. Where there is
// no endpoint all are refused.
func (p *port) firewalled() bool {
	return p.Any && len(p.SourceRanges) > 0 && len(p.LoadBalancerIPs) > 0
}

// Names of the port's chains: with all endpoints, with those on the node, for what comes
// from outside, and for a balancer's sources.
func (p *port) all() string {
	if p.svc == "" {
		p.svc = ServiceChain(p.name, p.Protocol)
	}
	return p.svc
}
func (p *port) local() string { return localChain(p.name, p.Protocol) }
func (p *port) ext() string   { return externalChain(p.name, p.Protocol) }
func (p *port) fw() string    { return sourcesChain(p.name, p.Protocol) }

// endpoints is the names of the chains of some of the port's endpoints, in their order.
func (p *port) endpoints(of []modes.Endpoint) []string {
	all := len(of) == len(p.All)
	if all && p.seps != nil {
		return p.seps
	}
	names := make([]string, len(of))
	for i, ep := range of {
		names[i] = EndpointChain(p.name, p.Protocol, ep.At(p.ServicePort))
	}
	if all {
		p.seps = names
	}
	return names
}

// inner is the chain that traffic to the ClusterIP goes to.
func (p *port) inner() string {
	if p.InternalLocal {
		return p.local()
	}
	return p.all()
}

// unserved is why traffic is not served, and what becomes of it. Without any endpoint a
// client is refused; under policy Local without one on this node it is ignored, so that
// a load balancer tries another node.
func (p *port) unserved() (comment string, target rules.Target) {
	if p.Any {
		return p.name + " has no local endpoints", rules.Drop
	}
	return p.name + " has no endpoints", rules.Reject
}

// clusterIP ends the comment of rules that match the ClusterIP.
const clusterIP = " cluster IP"

// leaf is the dispatch rule of the ClusterIP.
func (p *port) leaf() rules.Rule {
	r := match(p.name+clusterIP, p.ServicePort, p.ClusterIP)
	r.Chain = p.inner()
	return r
}

// AppendLeaves appends the dispatch rules of a Service, one for each port and address that
// has endpoints.
func AppendLeaves(out []rules.Rule, svc *modes.Service) []rules.Rule {
	for _, sp := range svc.Ports {
		p := portOf(svc, sp)
		if p.inside() {
			out = append(out, p.leaf())
		}
		if p.external() {
			out = append(out, p.externalLeaves()...)
		}
	}
	return out
}

// appendRejects appends the filter rules of the ports at whose ClusterIP nobody serves.
func appendRejects(reject []rules.Rule, svc *modes.Service) []rules.Rule {
	serves := func(ep modes.Endpoint) bool { return ep.Only == "" && ep.Condition != modes.Unready }
	if !svc.InternalLocal && slices.ContainsFunc(svc.Endpoints, serves) {
		return reject // as nearly all
	}
	for _, sp := range svc.Ports {
		p := portOf(svc, sp)
		if p.inside() {
			continue
		}
		comment, target := p.unserved()
		r := match(comment, sp, svc.ClusterIP)
		r.Target = target
		reject = append(reject, r)
	}
	return reject
}
