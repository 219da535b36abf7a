package modes

import (
	"fmt"
	"slices"
)

// Ability is something that a Service may ask of a mode.
type Ability string

// Abilities.
const (
	ClusterIPs         Ability = "ClusterIP, TCP and UDP"
	PortMapping        Ability = "endpoints listen on another port"
	NoEndpoints        Ability = "Service without endpoints is refused"
	ExternalIPs        Ability = "ExternalIP"
	LoadBalancerIPs    Ability = "LoadBalancer IP"
	SourceRanges       Ability = "LoadBalancer source ranges"
	NodePorts          Ability = "NodePort"
	ExternalLocal      Ability = "external traffic policy Local"
	InternalLocal      Ability = "internal traffic policy Local"
	SessionAffinity    Ability = "session affinity by client address"
	KeepsSource        Ability = "keeps the client's address"
	Hairpin            Ability = "endpoint reaches itself through its Service"
	SchedulerChoice    Ability = "choice of scheduler, weights"
	DirectServerReturn Ability = "direct routing, tunnels"
	ServesSCTP         Ability = "SCTP"
	ServesIPv6         Ability = "IPv6"
	EndpointPorts      Ability = "endpoints with ports of their own"
	Conditions         Ability = "terminating endpoints where none is ready"
	TopologyHints      Ability = "topology hints"
	MasqueradeAll      Ability = "masquerade of all traffic to ClusterIPs"
	NodePortsAtSome    Ability = "NodePorts at some of the node's addresses"
	LocalhostPorts     Ability = "NodePorts at 127.0.0.1"
)

// Abilities lists them, in the order of tables.
func Abilities() []Ability {
	return []Ability{ClusterIPs, PortMapping, NoEndpoints, ExternalIPs, LoadBalancerIPs, SourceRanges, NodePorts, ExternalLocal,
		InternalLocal, SessionAffinity, KeepsSource, Hairpin, SchedulerChoice, DirectServerReturn, ServesSCTP, ServesIPv6,
		EndpointPorts, Conditions, TopologyHints, MasqueradeAll, NodePortsAtSome, LocalhostPorts}
}

// Limits are the abilities that a mode lacks, with the reason.
type Limits map[Ability]string

// UnsupportedError is a Service that asks for what a mode lacks.
type UnsupportedError struct {
	Mode, Service string
	Ability       Ability
	Why           string
}

// Error names the mode, the Service, what it asks for, and why it cannot have it.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("mode %s cannot serve %s: %s: %s", e.Mode, e.Service, e.Ability, e.Why)
}

// Check says whether a mode of these limits can serve some Services: nil, or an
// [UnsupportedError].
func (l Limits) Check(mode string, services ...*Service) error {
	for _, svc := range services {
		for _, a := range svc.asks() {
			if why, lacks := l[a]; lacks {
				return &UnsupportedError{mode, svc.Key(), a, why}
			}
		}
	}
	return nil
}

// CheckAll says whether a mode of these limits can serve a Snapshot: its Services, and
// the settings of its node.
func (l Limits) CheckAll(mode string, s Snapshot) error {
	for _, n := range []struct {
		a     Ability
		asked bool
	}{{MasqueradeAll, s.Node.MasqueradeAll}, {NodePortsAtSome, len(s.Node.NodePortAddresses) > 0}} {
		if why, lacks := l[n.a]; lacks && n.asked {
			return &UnsupportedError{mode, "the node", n.a, why}
		}
	}
	return l.Check(mode, s.Services...)
}

// asks lists what a Service asks for beyond ClusterIPs.
func (s *Service) asks() []Ability {
	var out []Ability
	add := func(a Ability, asked bool) {
		if asked {
			out = append(out, a)
		}
	}
	add(ExternalIPs, len(s.ExternalIPs) > 0)
	add(LoadBalancerIPs, len(s.LoadBalancerIPs) > 0)
	add(SourceRanges, len(s.SourceRanges) > 0)
	add(NodePorts, slices.ContainsFunc(s.Ports, func(p ServicePort) bool { return p.NodePort != 0 }))
	add(ExternalLocal, s.ExternalLocal)
	add(InternalLocal, s.InternalLocal)
	add(SessionAffinity, s.Affinity > 0)
	add(ServesSCTP, slices.ContainsFunc(s.Ports, func(p ServicePort) bool { return p.Protocol == SCTP }))
	add(ServesIPv6, s.Family() == IPv6)
	any := func(is func(Endpoint) bool) bool { return slices.ContainsFunc(s.Endpoints, is) }
	add(EndpointPorts, any(func(ep Endpoint) bool { return ep.Port != 0 || ep.Only != "" }))
	add(Conditions, any(func(ep Endpoint) bool { return ep.Condition == Terminating }))
	add(TopologyHints, any(func(ep Endpoint) bool { return ep.NodeHint != NoHint || ep.ZoneHint != NoHint }))
	return out
}
