package ipvs

import (
	"net/netip"
	"slices"

	"viplab/modes"
)

// outer lists the endpoints of traffic from outside to a port. As in kube-proxy all of
// them serve under policy Local too if none is on this node; the iptables modes drop
// such traffic instead.
func outer(svc *modes.Service, p modes.ServicePort) []modes.Endpoint {
	return hereOr(svc, p, svc.ExternalLocal)
}

// inner lists the endpoints of traffic to the ClusterIP, in the same way. Where a port can be
// reached by the ClusterIP alone this is not kube-proxy's: its virtual server has no real
// server then, and refuses.
func inner(svc *modes.Service, p modes.ServicePort) []modes.Endpoint {
	return hereOr(svc, p, svc.InternalLocal)
}

func hereOr(svc *modes.Service, p modes.ServicePort, local bool) []modes.Endpoint {
	r := svc.Reach(p)
	if local && len(r.Local) > 0 {
		return r.Local
	}
	if svc.InternalLocal && len(r.Cluster) == 0 {
		// Such a port has no traffic that may go to other nodes but for this.
		anywhere := *svc
		anywhere.InternalLocal = false
		return anywhere.Reach(p).Cluster
	}
	return r.Cluster
}

// needs appends what one Service needs on this node, as the operations that make it; see
// [account].
func (n node) needs(ops []Op, svc *modes.Service) []Op {
	if svc == nil {
		return ops
	}
	ops = n.bind(ops, svc.ClusterIP)
	for _, p := range svc.Ports {
		vip := netip.AddrPortFrom(svc.ClusterIP, p.Port)
		ops = serve(ops, svc, p, vip, inner(svc, p))
		ops = enter(ops, ClusterIPSet, p.Protocol, vip)
		for _, ep := range svc.Reach(p).All {
			ops = enter(ops, LoopBackSet, p.Protocol, ep.At(p))
		}
	}
	if svc.External() {
		ops = n.external(ops, svc)
	}
	return ops
}

// bind appends what makes an address the node's own, unless it is. What is bound so is
// entered in a set, so that the node's own listeners are not to be had there.
func (n node) bind(ops []Op, a netip.Addr) []Op {
	if n.has(a) {
		return ops
	}
	at := netip.AddrPortFrom(a, 0)
	return append(ops, Op{Kind: AddAddress, VIP: at}, Op{Kind: AddEntry, Set: BoundSet, VIP: at})
}

// serve appends a virtual server with its real servers.
func serve(ops []Op, svc *modes.Service, p modes.ServicePort, vip netip.AddrPort, to []modes.Endpoint) []Op {
	ops = append(ops, Op{Kind: AddServer, Proto: p.Protocol, VIP: vip, terms: terms{Persist: uint32(svc.Affinity.Seconds())}})
	for _, ep := range to {
		ops = append(ops, Op{Kind: AddReal, Proto: p.Protocol, VIP: vip, Real: ep.At(p), terms: terms{Weight: max(1, ep.Weight)}})
	}
	return ops
}

func enter(ops []Op, set Set, proto modes.Protocol, at netip.AddrPort) []Op {
	return append(ops, Op{Kind: AddEntry, Set: set, Proto: proto, VIP: at})
}

// enterPort appends an entry of a set of ports, which has neither address nor protocol.
func enterPort(ops []Op, set Set, port uint16) []Op {
	return append(ops, Op{Kind: AddEntry, Set: set, VIP: netip.AddrPortFrom(netip.Addr{}, port)})
}

// external appends what a Service's external addresses and node ports need.
func (n node) external(ops []Op, svc *modes.Service) []Op {
	if svc.HealthPort != 0 {
		ops = enterPort(ops, HealthCheckSet, svc.HealthPort)
	}
	for _, a := range slices.Concat(svc.ExternalIPs, svc.LoadBalancerIPs) {
		ops = n.bind(ops, a)
	}
	for _, p := range svc.Ports {
		for _, a := range svc.ExternalIPs {
			vip := netip.AddrPortFrom(a, p.Port)
			ops = serve(ops, svc, p, vip, outer(svc, p))
			set := ExternalIPSet
			if svc.ExternalLocal {
				set = ExternalLocalSet
			}
			ops = enter(ops, set, p.Protocol, vip)
		}
		for _, a := range svc.LoadBalancerIPs {
			ops = n.balancer(ops, svc, p, netip.AddrPortFrom(a, p.Port))
		}
		if p.NodePort != 0 {
			ops = n.nodePort(ops, svc, p)
		}
	}
	return ops
}

// balancer appends what one port of a balancer's address needs.
func (n node) balancer(ops []Op, svc *modes.Service, p modes.ServicePort, vip netip.AddrPort) []Op {
	ops = serve(ops, svc, p, vip, outer(svc, p))
	ops = enter(ops, LoadBalancerSet, p.Protocol, vip)
	if svc.ExternalLocal {
		ops = enter(ops, BalancerLocalSet, p.Protocol, vip)
	}
	if len(svc.SourceRanges) == 0 {
		return ops
	}
	ops = enter(ops, BalancerFWSet, p.Protocol, vip)
	for _, source := range svc.SourceRanges {
		ops = append(ops, Op{Kind: AddEntry, Set: BalancerSourceSet, Proto: p.Protocol, VIP: vip, Source: source.Masked()})
	}
	if n.allowed(svc) {
		ops = enter(ops, BalancerSelfSet, p.Protocol, vip)
	}
	return ops
}

// allowed tells whether a Service's source ranges let the node itself in.
func (n node) allowed(svc *modes.Service) bool {
	return slices.ContainsFunc(svc.SourceRanges, func(r netip.Prefix) bool { return r.Contains(n.main) })
}

// nodePort appends what a node port needs: a virtual server on each of the node's
// addresses at which node ports are served.
func (n node) nodePort(ops []Op, svc *modes.Service, p modes.ServicePort) []Op {
	for _, a := range n.ports {
		at := netip.AddrPortFrom(a, p.NodePort)
		ops = serve(ops, svc, p, at, outer(svc, p))
		if p.Protocol != modes.SCTP {
			continue
		}
		ops = enter(ops, nodePortSet(false, p.Protocol), p.Protocol, at)
		if svc.ExternalLocal {
			ops = enter(ops, nodePortSet(true, p.Protocol), p.Protocol, at)
		}
	}
	if p.Protocol == modes.SCTP {
		return ops
	}
	ops = enterPort(ops, nodePortSet(false, p.Protocol), p.NodePort)
	if svc.ExternalLocal {
		ops = enterPort(ops, nodePortSet(true, p.Protocol), p.NodePort)
	}
	return ops
}
