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
)

// Rules plans the portal rules: port says on which port the proxy listens for
// a Service port, host is the node's address.
func Rules(s modes.Snapshot, host netip.Addr, port func(*modes.Service, modes.ServicePort) uint16) rules.Ruleset {
	n := s.Ports()
	container := &rules.Chain{Name: ContainerChain, Rules: make([]rules.Rule, 0, n)}
	toHost := &rules.Chain{Name: HostChain, Rules: make([]rules.Rule, 0, n)}
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			r := rules.Rule{
				Comment: svc.PortName(p), Proto: p.Protocol, DPort: p.Port,
				Dst: netip.PrefixFrom(svc.ClusterIP, 32), Target: rules.Redirect,
				To: netip.AddrPortFrom(host, port(svc, p)),
			}
			container.Rules = append(container.Rules, r)
			r.Target = rules.DNAT
			toHost.Rules = append(toHost.Rules, r)
		}
	}
	const comment = "handle ClusterIPs; NOTE: this must be before the NodePort rules"
	return rules.Ruleset{Tables: []rules.Table{{Name: "nat", Chains: []*rules.Chain{
		{Name: "PREROUTING", Rules: []rules.Rule{{Comment: comment, Chain: ContainerChain}}},
		{Name: "OUTPUT", Rules: []rules.Rule{{Comment: comment, Chain: HostChain}}},
		container, toHost,
	}}}}
}
