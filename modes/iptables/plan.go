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

// service is the planned part of one Service: it is kept as long as the
// Service stands in the Snapshot unchanged.
type service struct {
	leaves []rules.Rule   // dispatch rules, one a port
	reject []rules.Rule   // filter rules for ports without endpoints
	chains []*rules.Chain // KUBE-SVC-* and KUBE-SEP-*
}

// Planner turns Snapshots into Rulesets. It keeps the chains of Services that
// did not change, so that planning one change is cheap.
type Planner struct {
	// Dispatch is the layout, [Linear] if nil.
	Dispatch Dispatch

	comments bool
	services map[*modes.Service]*service
}

// Plan makes the Ruleset for a whole Snapshot.
func (p *Planner) Plan(s modes.Snapshot) rules.Ruleset {
	if p.services == nil {
		n := 0
		for _, svc := range s.Services {
			n += len(svc.Endpoints) * len(svc.Ports)
		}
		p.comments = n <= largeCluster
	}
	kept := make(map[*modes.Service]*service, len(s.Services))
	leaves := make([]rules.Rule, 0, s.Ports()+1)
	var reject []rules.Rule
	var perService []*rules.Chain
	for _, svc := range s.Services {
		plan := p.services[svc]
		if plan == nil {
			plan = p.service(svc, s.ClusterCIDR)
		}
		kept[svc] = plan
		leaves = append(leaves, plan.leaves...)
		reject = append(reject, plan.reject...)
		perService = append(perService, plan.chains...)
	}
	p.services = kept
	dispatch := p.Dispatch
	if dispatch == nil {
		dispatch = Linear
	}
	services, extra := dispatch(leaves)
	return assemble(services, extra, reject, perService)
}

// assemble puts the per-Service parts between the fixed chains, in the order
// in which kube-proxy writes them.
func assemble(services []rules.Rule, extra []*rules.Chain, reject []rules.Rule, perService []*rules.Chain) rules.Ruleset {
	const portals = "kubernetes service portals"
	services = append(services, rules.Rule{
		Comment:  "kubernetes service nodeports; NOTE: this must be the last rule in this chain",
		DstLocal: true, Chain: NodePortsChain,
	})
	filter := rules.Table{Name: "filter", Chains: []*rules.Chain{
		{Name: "FORWARD", Rules: []rules.Rule{
			{Comment: portals, CTState: "NEW", Chain: ServicesChain},
			{Comment: "kubernetes forwarding rules", Chain: ForwardChain},
		}},
		{Name: "OUTPUT", Rules: []rules.Rule{{Comment: portals, CTState: "NEW", Chain: ServicesChain}}},
		{Name: ServicesChain, Rules: reject},
		{Name: ForwardChain, Rules: []rules.Rule{
			{CTState: "INVALID", Target: rules.Drop},
			{Comment: "kubernetes forwarding rules", HasMark: MasqueradeMark, Target: rules.Accept},
			{Comment: "kubernetes forwarding conntrack rule", CTState: "RELATED,ESTABLISHED", Target: rules.Accept},
		}},
	}}
	nat := rules.Table{Name: "nat"}
	nat.Chains = make([]*rules.Chain, 0, len(perService)+len(extra)+8)
	nat.Chains = append(nat.Chains,
		&rules.Chain{Name: "PREROUTING", Rules: []rules.Rule{{Comment: portals, Chain: ServicesChain}}},
		&rules.Chain{Name: "OUTPUT", Rules: []rules.Rule{{Comment: portals, Chain: ServicesChain}}},
		&rules.Chain{Name: "POSTROUTING", Rules: []rules.Rule{{Comment: "kubernetes postrouting rules", Chain: PostroutingChain}}},
		&rules.Chain{Name: ServicesChain, Rules: services},
		&rules.Chain{Name: NodePortsChain},
		&rules.Chain{Name: PostroutingChain, Rules: Postrouting()},
		&rules.Chain{Name: MarkMasqChain, Rules: []rules.Rule{{Target: rules.OrMark, Mark: MasqueradeMark}}},
	)
	nat.Chains = append(nat.Chains, extra...)
	nat.Chains = append(nat.Chains, perService...)
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

func (p *Planner) service(svc *modes.Service, cluster netip.Prefix) *service {
	plan := &service{leaves: make([]rules.Rule, 0, len(svc.Ports))}
	vip := netip.PrefixFrom(svc.ClusterIP, 32)
	for _, port := range svc.Ports {
		name := svc.PortName(port)
		leaf := rules.Rule{Comment: name + " cluster IP", Proto: port.Protocol, Dst: vip, DPort: port.Port}
		if len(svc.Endpoints) == 0 {
			leaf.Comment = name + " has no endpoints"
			leaf.Target = rules.Reject
			plan.reject = append(plan.reject, leaf)
			continue
		}
		leaf.Chain = ServiceChain(name, port.Protocol)
		plan.leaves = append(plan.leaves, leaf)
		plan.chains = append(plan.chains, p.portChains(svc, port, leaf, cluster)...)
	}
	return plan
}

// portChains makes KUBE-SVC-* of one Service port and KUBE-SEP-* of each of
// its endpoints: 1 + E chains and 1 + 3E rules beside the dispatch rule.
func (p *Planner) portChains(svc *modes.Service, port modes.ServicePort, leaf rules.Rule, cluster netip.Prefix) []*rules.Chain {
	name := svc.PortName(port)
	say := func(s string) string {
		if p.comments {
			return s
		}
		return ""
	}
	n := len(svc.Endpoints)
	svcChain := &rules.Chain{Name: leaf.Chain, Rules: make([]rules.Rule, 0, n+1)}
	chains := make([]*rules.Chain, 1, n+1)
	chains[0] = svcChain
	if cluster.IsValid() {
		svcChain.Rules = append(svcChain.Rules, rules.Rule{
			Comment: say(leaf.Comment), Proto: leaf.Proto, Dst: leaf.Dst, DPort: leaf.DPort,
			Src: cluster, NotSrc: true, Chain: MarkMasqChain,
		})
	}
	for i, ep := range svc.Endpoints {
		to := netip.AddrPortFrom(ep.Addr, port.TargetPort)
		sep := EndpointChain(name, port.Protocol, to)
		svcChain.Rules = append(svcChain.Rules, rules.Rule{
			Comment: say(name + " -> " + to.String()), Chance: uint32(n - i), Chain: sep,
		})
		chains = append(chains, &rules.Chain{Name: sep, Rules: []rules.Rule{
			{Comment: say(name), Src: netip.PrefixFrom(ep.Addr, 32), Chain: MarkMasqChain},
			{Comment: say(name), Proto: port.Protocol, Target: rules.DNAT, To: to},
		}})
	}
	return chains
}
