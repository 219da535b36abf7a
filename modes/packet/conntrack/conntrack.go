// Package conntrack deletes conntrack entries that do not lead where the Services lead
// now.
//
// A UDP client that keeps sending keeps its entry alive, and with it goes on to where the
// entry leads: to an endpoint that is gone, or, where there was no Service when it began,
// to nobody. kube-proxy therefore deletes such entries after a sync; those of TCP end by
// themselves.
package conntrack

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"viplab/modes"
)

// Leads tells whether an entry of a Service port may lead to an address and port.
type Leads func(svc *modes.Service, p modes.ServicePort, to netip.AddrPort) bool

// toEndpoint is where entries lead in modes without a proxy.
func toEndpoint(svc *modes.Service, p modes.ServicePort, to netip.AddrPort) bool {
	return slices.ContainsFunc(svc.Endpoints, func(ep modes.Endpoint) bool { return ep.At(p) == to && ep.Condition != modes.Unready })
}

// CleanUp deletes the entries of changed UDP ports that do not lead where they are to lead
// ([Leads], nil: to an endpoint), and says how many there were. It reads the whole table,
// but only if a change can have left such an entry: an endpoint went, the first one came,
// or what clients dial is new or gone.
func CleanUp(changes []modes.Change, leads Leads) (int, error) {
	if leads == nil {
		leads = toEndpoint
	}
	stale := map[modes.Family]*filter{}
	for _, c := range changes {
		for _, svc := range []*modes.Service{c.Old, c.New} { // what the new one claims counts
			if svc == nil || !leaves(c) {
				continue
			}
			f := stale[svc.Family()]
			if f == nil {
				f = &filter{leads: leads, fronts: map[netip.AddrPort]claim{}, nodePorts: map[uint16]claim{}}
				stale[svc.Family()] = f
			}
			f.add(svc, svc == c.New)
		}
	}
	total := 0
	for family, f := range stale {
		if len(f.fronts) == 0 {
			continue
		}
		n, err := f.sweep(family)
		total += n
		if err != nil {
			return total, fmt.Errorf("delete stale conntrack entries of UDP: %w", err)
		}
	}
	return total, nil
}

// sweep deletes what matches.
func (f *filter) sweep(family modes.Family) (int, error) {
	if len(f.nodePorts) > 0 {
		addrs, err := netlink.AddrList(nil, family.Domain())
		if err != nil {
			return 0, fmt.Errorf("list the node's addresses: %w", err)
		}
		f.node = make(map[netip.Addr]bool, len(addrs))
		for _, a := range addrs {
			ip, _ := netip.AddrFromSlice(a.IP)
			f.node[ip.Unmap()] = true
		}
	}
	n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(family.Domain()), f)
	return int(n), err
}

// leaves tells whether a change can leave an entry that leads nowhere.
func leaves(c modes.Change) bool {
	if c.Old == nil || c.New == nil {
		return true
	}
	for _, p := range c.Old.Ports {
		if p.Protocol != modes.UDP {
			continue
		}
		before, now := c.Old.Reach(p), c.New.Reach(p)
		// Under policy Local the first endpoint on the node is the first one.
		if len(before.All) == 0 || len(before.Local) == 0 && len(now.Local) > 0 {
			return true
		}
		// One that got no traffic lately, since hints or policies changed, may have older flows.
		if slices.ContainsFunc(c.Old.Endpoints, func(ep modes.Endpoint) bool { return ep.Condition != modes.Unready && !toEndpoint(c.New, p, ep.At(p)) }) {
			return true
		}
	}
	return !slices.Equal(c.Old.Ports, c.New.Ports) || !slices.Equal(addresses(c.Old), addresses(c.New))
}

// addresses are those that clients of a Service dial, without the node's own.
func addresses(svc *modes.Service) []netip.Addr {
	return slices.Concat([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs, svc.LoadBalancerIPs)
}

// claim is the Service port that serves what clients dial, with no Service where it is
// gone.
type claim struct {
	svc  *modes.Service
	port modes.ServicePort
}

// filter is a [netlink.CustomConntrackFilter].
type filter struct {
	leads     Leads
	fronts    map[netip.AddrPort]claim
	nodePorts map[uint16]claim
	node      map[netip.Addr]bool // the node's own addresses
}

// add notes what clients of a Service's UDP ports dial. What is served now goes before
// what was: another Service may have taken it over.
func (f *filter) add(svc *modes.Service, served bool) {
	for _, p := range svc.Ports {
		if p.Protocol != modes.UDP {
			continue
		}
		c := claim{port: p}
		if served {
			c.svc = svc
		}
		for _, a := range addresses(svc) {
			if at := netip.AddrPortFrom(a, p.Port); served || f.fronts[at].svc == nil {
				f.fronts[at] = c
			}
		}
		if p.NodePort != 0 && (served || f.nodePorts[p.NodePort].svc == nil) {
			f.nodePorts[p.NodePort] = c
		}
	}
}

// MatchConntrackFlow tells whether an entry is a changed port's and leads elsewhere than
// that port.
func (f *filter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != modes.UDP.Number() {
		return false
	}
	dst, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	from, _ := netip.AddrFromSlice(flow.Reverse.SrcIP)
	dst, from = dst.Unmap(), from.Unmap()
	c, ours := f.fronts[netip.AddrPortFrom(dst, flow.Forward.DstPort)]
	if !ours && f.node[dst] {
		c, ours = f.nodePorts[flow.Forward.DstPort]
	}
	if !ours {
		return false
	}
	return c.svc == nil || !f.leads(c.svc, c.port, netip.AddrPortFrom(from, flow.Reverse.SrcPort))
}
