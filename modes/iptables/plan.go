package iptables

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/rules"
)

// Dispatch lays out the rules that lead from KUBE-SERVICES to the chain of
// each Service port. It returns the rules of KUBE-SERVICES itself and the
// further chains that these jump to.
type Dispatch func(leaves []rules.Rule) (services []rules.Rule, chains []*rules.Chain)

// Linear is the real kube-proxy's layout: one rule a Service port, in order,
// all in KUBE-SERVICES.
func Linear(leaves []rules.Rule) ([]rules.Rule, []*rules.Chain) { return leaves, nil }

// largeCluster is the number of endpoints above which kube-proxy leaves the
// comments out of the chains of Services and endpoints.
const largeCluster = 1000

// Planner turns Snapshots into Rulesets. It remembers the dispatch rules of the
// last Snapshot, so that planning one change is cheap; the chains of a Service
// are a function of the Service and are made when they are needed.
type Planner struct {
	// Dispatch is the layout, [Linear] if nil.
	Dispatch Dispatch
	// Family is IPv4 (the default) or IPv6.
	Family modes.Family

	planned  bool
	comments bool
	loopback bool // node ports are to be had at 127.0.0.1
	last     modes.Snapshot
	changes  []modes.Change // of the last Delta
	leaves   []rules.Rule   // of last, in order
	ends     []int          // leaves[ends[i-1]:ends[i]] are those of last.Services[i]
}

// Plan makes the Ruleset for a whole Snapshot. The chains of the Services are
// not held but made while they are read.
func (p *Planner) Plan(s modes.Snapshot) rules.Ruleset {
	return p.withServices(p.base(s), s)
}

// withServices adds the chains of all Services.
func (p *Planner) withServices(base rules.Ruleset, s modes.Snapshot) rules.Ruleset {
	rs := base.Fixed()
	nat := &rs.Tables[len(rs.Tables)-1]
	nat.Names = func(yield func(string) bool) {
		for _, svc := range s.Services {
			for _, name := range chainNames(svc) {
				if !yield(name) {
					return
				}
			}
		}
	}
	nat.More = func(yield func(*rules.Chain) bool) {
		for _, svc := range s.Services {
			for _, c := range p.chains(svc, s.ClusterCIDR) {
				if !yield(c) {
					return
				}
			}
		}
	}
	return rs
}

// Delta makes the part of two Rulesets in which they can differ: the fixed and
// dispatch chains, and the chains of the Services that changed. from is the
// whole Ruleset of the Snapshot before, whole that of the new one.
func (p *Planner) Delta(from rules.Ruleset, s modes.Snapshot) (old, next, whole rules.Ruleset) {
	changes := modes.Diff(p.last, s)
	p.changes = changes
	base := p.base(s)
	old, next, whole = from.Fixed(), base.Fixed(), p.withServices(base, s)
	for _, c := range changes {
		if c.Old != nil {
			old.AppendChains("nat", p.chains(c.Old, s.ClusterCIDR)...)
		}
		if c.New != nil {
			next.AppendChains("nat", p.chains(c.New, s.ClusterCIDR)...)
		}
	}
	return old, next, whole
}

// base plans all but the chains of the Services.
func (p *Planner) base(s modes.Snapshot) rules.Ruleset {
	if !p.planned {
		n := 0
		for _, svc := range s.Services {
			n += len(svc.Endpoints) * len(svc.Ports)
		}
		p.planned, p.comments = true, n <= largeCluster
	}
	leaves := make([]rules.Rule, 0, s.Ports()+1)
	ends := make([]int, 0, len(s.Services))
	var reject []rules.Rule
	var out outside
	j := 0
	for _, svc := range s.Services {
		for j < len(p.last.Services) && p.last.Services[j].Compare(svc) < 0 {
			j++
		}
		if j < len(p.last.Services) && p.last.Services[j] == svc {
			start := 0
			if j > 0 {
				start = p.ends[j-1]
			}
			leaves = append(leaves, p.leaves[start:p.ends[j]]...)
		} else {
			leaves = append(leaves, Leaves(svc)...)
		}
		ends = append(ends, len(leaves))
		if !servedInside(svc) {
			reject = appendRejects(reject, svc)
		}
		out.add(svc)
	}
	p.last, p.leaves, p.ends = s, leaves, ends
	p.loopback = len(out.nodePorts) > 0 && p.Family != modes.IPv6
	dispatch := p.Dispatch
	if dispatch == nil {
		dispatch = Linear
	}
	services, extra := dispatch(leaves)
	return assemble(services, extra, reject, out, p.loopback)
}

// assemble puts the per-Service parts between the fixed chains, in the order
// in which kube-proxy writes them.
func assemble(services []rules.Rule, extra []*rules.Chain, reject []rules.Rule, out outside, atLoopback bool) rules.Ruleset {
	const portals = "kubernetes service portals"
	services = append(services[:len(services):cap(services)], rules.Rule{
		Comment:  "kubernetes service nodeports; NOTE: this must be the last rule in this chain",
		DstLocal: true, Chain: NodePortsChain,
	})
	external := rules.Rule{Comment: "kubernetes externally-visible service portals", CTState: "NEW", Chain: ExternalServicesChain}
	firewall := rules.Rule{Comment: "kubernetes load balancer firewall", CTState: "NEW", Chain: FirewallChain}
	input, output := []rules.Rule{firewall, external}, []rules.Rule{firewall, {Comment: portals, CTState: "NEW", Chain: ServicesChain}}
	var more []*rules.Chain
	if len(out.health) > 0 {
		input = append(input, rules.Rule{Comment: "kubernetes health check service ports", Chain: NodePortsChain})
		more = append(more, &rules.Chain{Name: NodePortsChain, Rules: out.health})
	}
	if atLoopback {
		input = append(input, rules.Rule{Chain: LoopbackChain})
		output = append(output, rules.Rule{Chain: LoopbackChain})
		more = append(more, loopback())
	}
	filter := rules.Table{Name: "filter", Chains: append([]*rules.Chain{
		{Name: "INPUT", Rules: input},
		{Name: "FORWARD", Rules: []rules.Rule{
			firewall, external, {Comment: portals, CTState: "NEW", Chain: ServicesChain},
			{Comment: "kubernetes forwarding rules", Chain: ForwardChain},
		}},
		{Name: "OUTPUT", Rules: output},
		{Name: ExternalServicesChain, Rules: out.refused},
		{Name: FirewallChain, Rules: out.firewall},
		{Name: ServicesChain, Rules: reject},
		{Name: ForwardChain, Rules: []rules.Rule{
			{CTState: "INVALID", Target: rules.Drop},
			{Comment: "kubernetes forwarding rules", HasMark: MasqueradeMark, Target: rules.Accept},
			{Comment: "kubernetes forwarding conntrack rule", CTState: "RELATED,ESTABLISHED", Target: rules.Accept},
		}},
	}, more...)}
	nat := rules.Table{Name: "nat", Chains: []*rules.Chain{
		{Name: "PREROUTING", Rules: []rules.Rule{{Comment: portals, Chain: ServicesChain}}},
		{Name: "OUTPUT", Rules: []rules.Rule{{Comment: portals, Chain: ServicesChain}}},
		{Name: "POSTROUTING", Rules: []rules.Rule{{Comment: "kubernetes postrouting rules", Chain: PostroutingChain}}},
		{Name: ServicesChain, Rules: services},
		{Name: NodePortsChain, Rules: out.nodePorts},
		{Name: PostroutingChain, Rules: Postrouting()},
		{Name: MarkMasqChain, Rules: []rules.Rule{{Target: rules.OrMark, Mark: MasqueradeMark}}},
	}}
	nat.Chains = append(nat.Chains, extra...)
	return rules.Ruleset{Tables: []rules.Table{filter, nat}}
}

// Postrouting is the content of KUBE-POSTROUTING: packets marked by
// KUBE-MARK-MASQ leave with the node's address.
func Postrouting() []rules.Rule {
	return []rules.Rule{
		{NotMark: MasqueradeMark, Target: rules.Return},
		{Target: rules.XorMark, Mark: MasqueradeMark},
		{Comment: "kubernetes service traffic requiring SNAT", Target: rules.Masquerade},
	}
}

// LoopbackChain is kubelet's, as far as node ports need it.
const LoopbackChain = "KUBE-FIREWALL"

// loopback is KUBE-FIREWALL: node ports can be dialled at 127.0.0.1, for which the
// kernel must route loopback addresses; nobody else is to get at them.
func loopback() *rules.Chain {
	own := netip.MustParsePrefix("127.0.0.0/8")
	return &rules.Chain{Name: LoopbackChain, Rules: []rules.Rule{{
		Comment: "block incoming localnet connections", Dst: own, Src: own, NotSrc: true,
		NotCTState: "RELATED,ESTABLISHED,DNAT", Target: rules.Drop,
	}}}
}

// Leaves is the dispatch rules of a Service, one for each port and address.
func Leaves(svc *modes.Service) []rules.Rule {
	if len(svc.Endpoints) == 0 {
		return nil
	}
	out := make([]rules.Rule, 0, len(svc.Ports))
	for _, port := range svc.Ports {
		if servedInside(svc) {
			out = append(out, leaf(svc, port))
		}
		out = append(out, externalLeaves(svc, port)...)
	}
	return out
}

// servedInside tells whether traffic to the ClusterIP has an endpoint to go to.
func servedInside(svc *modes.Service) bool {
	return len(svc.Endpoints) > 0 && (!svc.InternalLocal || len(svc.Local()) > 0)
}

// usesAll and usesLocal tell whether KUBE-SVC-*, with all endpoints, and KUBE-SVL-*,
// with those on the node, have traffic.
func usesAll(svc *modes.Service) bool { return !svc.InternalLocal || svc.External() }

func usesLocal(svc *modes.Service) bool {
	return (svc.InternalLocal || svc.ExternalLocal && svc.External()) && len(svc.Local()) > 0
}

func leaf(svc *modes.Service, port modes.ServicePort) rules.Rule {
	name := svc.PortName(port)
	r := rules.Rule{
		Comment: name + " cluster IP", Proto: port.Protocol, Dst: modes.Host(svc.ClusterIP), DPort: port.Port,
		Chain: ServiceChain(name, port.Protocol),
	}
	if svc.InternalLocal {
		r.Chain = localChain(name, port.Protocol)
	}
	return r
}

// appendRejects appends the filter rules of a Service without endpoints, or without one
// on the node where the policy wants one.
func appendRejects(reject []rules.Rule, svc *modes.Service) []rules.Rule {
	why, target := " has no endpoints", rules.Reject
	if len(svc.Endpoints) > 0 {
		why, target = " has no local endpoints", rules.Drop
	}
	for _, port := range svc.Ports {
		reject = append(reject, rules.Rule{
			Comment: svc.PortName(port) + why, Proto: port.Protocol,
			Dst: modes.Host(svc.ClusterIP), DPort: port.Port, Target: target,
		})
	}
	return reject
}

// chains makes KUBE-SVC-* and KUBE-SEP-* of a Service.
func (p *Planner) chains(svc *modes.Service, cluster netip.Prefix) []*rules.Chain {
	if len(svc.Endpoints) == 0 {
		return nil
	}
	var out []*rules.Chain
	for _, port := range svc.Ports {
		out = append(out, p.portChains(svc, port, leaf(svc, port), cluster)...)
		if svc.External() {
			out = append(out, p.externalChains(svc, port, cluster)...)
		}
	}
	return out
}

// chainNames is the names of what chains makes, in the same order.
func chainNames(svc *modes.Service) []string {
	if len(svc.Endpoints) == 0 {
		return nil
	}
	out := make([]string, 0, len(svc.Ports)*(1+len(svc.Endpoints)))
	for _, port := range svc.Ports {
		name := svc.PortName(port)
		if usesAll(svc) {
			out = append(out, ServiceChain(name, port.Protocol))
		}
		if usesLocal(svc) {
			out = append(out, localChain(name, port.Protocol))
		}
		for _, ep := range svc.Endpoints {
			out = append(out, EndpointChain(name, port.Protocol, netip.AddrPortFrom(ep.Addr, port.TargetPort)))
		}
		if svc.External() {
			out = append(out, externalNames(svc, name, port.Protocol)...)
		}
	}
	return out
}

// externalNames is the names of what externalChains makes, in the same order.
func externalNames(svc *modes.Service, name string, proto modes.Protocol) []string {
	out := []string{externalChain(name, proto)}
	if len(svc.SourceRanges) > 0 && len(svc.LoadBalancerIPs) > 0 {
		out = append(out, sourcesChain(name, proto))
	}
	return out
}

// portChains makes KUBE-SVC-* and KUBE-SVL-* of one Service port and KUBE-SEP-* of each of
// its endpoints: 1 + E chains and 1 + 3E rules beside the dispatch rule.
func (p *Planner) portChains(svc *modes.Service, port modes.ServicePort, leaf rules.Rule, cluster netip.Prefix) []*rules.Chain {
	name := svc.PortName(port)
	say := func(s string) string {
		if p.comments {
			return s
		}
		return ""
	}
	chains := make([]*rules.Chain, 0, len(svc.Endpoints)+1)
	dispatch := func(chain string, to []modes.Endpoint) {
		c := &rules.Chain{Name: chain, Rules: make([]rules.Rule, 0, len(to)+1)}
		// What comes by an external address is marked before it gets here.
		if cluster.IsValid() && chain == leaf.Chain {
			c.Rules = append(c.Rules, rules.Rule{
				Comment: say(leaf.Comment), Proto: leaf.Proto, Dst: leaf.Dst, DPort: leaf.DPort,
				Src: cluster, NotSrc: true, Chain: MarkMasqChain,
			})
		}
		c.Rules = append(c.Rules, p.choose(svc, port, to)...)
		chains = append(chains, c)
	}
	if usesAll(svc) {
		dispatch(ServiceChain(name, port.Protocol), svc.Endpoints)
	}
	if usesLocal(svc) {
		dispatch(localChain(name, port.Protocol), svc.Local())
	}
	for _, ep := range svc.Endpoints {
		to := netip.AddrPortFrom(ep.Addr, port.TargetPort)
		sep := EndpointChain(name, port.Protocol, to)
		dnat := rules.Rule{Comment: say(name), Proto: port.Protocol, Target: rules.DNAT, To: to}
		if svc.Affinity > 0 {
			dnat.Recent = sep
		}
		chains = append(chains, &rules.Chain{Name: sep, Rules: []rules.Rule{
			{Comment: say(name), Src: modes.Host(ep.Addr), Chain: MarkMasqChain}, dnat,
		}})
	}
	return chains
}

// choose makes the rules that pick one of some endpoints: under affinity the one
// that the client had, else each with the same chance.
func (p *Planner) choose(svc *modes.Service, port modes.ServicePort, from []modes.Endpoint) []rules.Rule {
	name := svc.PortName(port)
	say := ""
	n := len(from)
	out := make([]rules.Rule, 0, 2*n)
	chain := func(ep modes.Endpoint) string {
		return EndpointChain(name, port.Protocol, netip.AddrPortFrom(ep.Addr, port.TargetPort))
	}
	if svc.Affinity > 0 {
		for _, ep := range from {
			sep := chain(ep)
			out = append(out, rules.Rule{Comment: say, Recent: sep, Seconds: uint32(svc.Affinity.Seconds()), Chain: sep})
		}
	}
	for i, ep := range from {
		if p.comments {
			say = name + " -> " + netip.AddrPortFrom(ep.Addr, port.TargetPort).String()
		}
		out = append(out, rules.Rule{Comment: say, Chance: uint32(n - i), Chain: chain(ep)})
	}
	return out
}
