package userspace

import (
	"net/netip"
	"slices"

	"viplab/modes"
	"viplab/modes/packet/rules"
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
		for _, r := range toNodePorts(s.Node, modes.FamilyOf(host)) {
			r.Chain = NodeContainerChain
			in = append(in, r)
			r.Chain = NodeHostChain
			out = append(out, r)
		}
		chains = append(chains, &rules.Chain{Name: NodeContainerChain, Rules: nodeContainer}, &rules.Chain{Name: NodeHostChain, Rules: nodeHost})
	}
	return rules.Ruleset{Tables: []rules.Table{{Name: "nat", Chains: append([]*rules.Chain{
		{Name: "PREROUTING", Rules: in}, {Name: "OUTPUT", Rules: out},
	}, chains...)}}}
}

// toNodePorts is the jumps to the chains of node ports: one for all of the node's
// addresses, of loopback too, or one for each at which they are served.
func toNodePorts(node modes.NodeConfig, f modes.Family) (out []rules.Rule) {
	r := rules.Rule{Comment: "handle service NodePorts; NOTE: this must be the last rule in the chain"}
	localnet := netip.MustParsePrefix("127.0.0.0/8")
	if node.AllNodePorts(f) {
		r.DstLocal = true
		if node.NoLocalhostNodePorts && f == modes.IPv4 {
			r.Dst, r.NotDst = localnet, true
		}
		return []rules.Rule{r}
	}
	for _, a := range append(slices.Clone(node.Addrs), localnet.Addr().Next()) {
		if modes.FamilyOf(a) == f && node.NodePortAt(a) {
			r.Dst = modes.Host(a)
			out = append(out, r)
		}
	}
	return out
}

// both appends a rule to the chain for packets that come in and, with the target
// that works there, to the one for packets of the node itself.
func both(in, out []rules.Rule, r rules.Rule) ([]rules.Rule, []rules.Rule) {
	in = append(in, r)
	r.Target = rules.DNAT
	return in, append(out, r)
}
