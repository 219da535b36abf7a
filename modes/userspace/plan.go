package userspace

import (
	"net/netip"

	"viplab/modes"
	"viplab/modes/rules"
)

// Chains of the portal rules.
const (
	ContainerChain = "KUBE-PORTALS-CONTAINER"
	HostChain      = "KUBE-PORTALS-HOST"

	NodeContainerChain = "KUBE-NODEPORT-CONTAINER"
	NodeHostChain      = "KUBE-NODEPORT-HOST"
)

// Rules plans the portal rules: port says on which port the proxy listens for
// a Service port, host is the node's address.
func Rules(s modes.Snapshot, host netip.Addr, port func(*modes.Service, modes.ServicePort) uint16) rules.Ruleset {
	n := s.Ports()
	container := &rules.Chain{Name: ContainerChain, Rules: make([]rules.Rule, 0, n)}
	toHost := &rules.Chain{Name: HostChain, Rules: make([]rules.Rule, 0, n)}
	var nodeContainer, nodeHost []rules.Rule
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			r := rules.Rule{
				Comment: svc.PortName(p), Proto: p.Protocol, DPort: p.Port,
				Dst: modes.Host(svc.ClusterIP), Target: rules.Redirect,
				To: netip.AddrPortFrom(host, port(svc, p)),
			}
			container.Rules, toHost.Rules = both(container.Rules, toHost.Rules, r)
			for _, list := range [][]netip.Addr{svc.ExternalIPs, svc.LoadBalancerIPs} {
				for _, ip := range list {
					r.Dst = modes.Host(ip)
					container.Rules, toHost.Rules = both(container.Rules, toHost.Rules, r)
				}
			}
			if p.NodePort != 0 {
				r.Dst, r.DPort = netip.Prefix{}, p.NodePort
				nodeContainer, nodeHost = both(nodeContainer, nodeHost, r)
			}
		}
	}
	const comment = "handle ClusterIPs; NOTE: this must be before the NodePort rules"
	in, out := []rules.Rule{{Comment: comment, Chain: ContainerChain}}, []rules.Rule{{Comment: comment, Chain: HostChain}}
	chains := []*rules.Chain{container, toHost}
	if len(nodeContainer) > 0 {
		const last = "handle service NodePorts; NOTE: this must be the last rule in the chain"
		in = append(in, rules.Rule{Comment: last, DstLocal: true, Chain: NodeContainerChain})
		out = append(out, rules.Rule{Comment: last, DstLocal: true, Chain: NodeHostChain})
		chains = append(chains, &rules.Chain{Name: NodeContainerChain, Rules: nodeContainer}, &rules.Chain{Name: NodeHostChain, Rules: nodeHost})
	}
	return rules.Ruleset{Tables: []rules.Table{{Name: "nat", Chains: append([]*rules.Chain{
		{Name: "PREROUTING", Rules: in}, {Name: "OUTPUT", Rules: out},
	}, chains...)}}}
}

// both appends a rule to the chain for packets that come in and, with the target
// that works there, to the one for packets of the node itself.
func both(in, out []rules.Rule, r rules.Rule) ([]rules.Rule, []rules.Rule) {
	in = append(in, r)
	r.Target = rules.DNAT
	return in, append(out, r)
}
