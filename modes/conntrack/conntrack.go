// Package conntrack deletes conntrack entries that lead to endpoints which are gone.
//
// A UDP client that keeps sending keeps its entry alive, and with it goes on to the
// endpoint that the entry names, long after the rules lead elsewhere. kube-proxy
// therefore deletes such entries after a sync; those of TCP end by themselves.
package conntrack

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"viplab/modes"
)

// CleanUp deletes the entries of changed UDP ports that lead to no endpoint of theirs
// any more, and says how many there were. It reads the whole table, but only if a
// change can have left such an entry: an endpoint went, or the first one came.
func CleanUp(changes []modes.Change) (int, error) {
	stale := map[modes.Family]filter{}
	for _, c := range changes {
		if c.Old == nil || !leaves(c) {
			continue
		}
		for _, p := range c.Old.Ports {
			if p.Protocol == modes.UDP {
				f := c.Old.Family()
				stale[f] = append(stale[f], fronts(c, p)...)
			}
		}
	}
	total := 0
	for f, filter := range stale {
		n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(f.Domain()), filter)
		total += int(n)
		if err != nil {
			return total, fmt.Errorf("delete stale conntrack entries of UDP: %w", err)
		}
	}
	return total, nil
}

// leaves tells whether a change can leave an entry that leads nowhere.
func leaves(c modes.Change) bool {
	if c.New == nil || len(c.Old.Endpoints) == 0 {
		return true
	}
	return slices.ContainsFunc(c.Old.Endpoints, func(ep modes.Endpoint) bool { return c.New.Index(ep.Addr) < 0 })
}

// front is what clients of a UDP port dial, with the endpoints that serve it now.
type front struct {
	addr netip.Addr // not valid: any of the node
	port uint16
	to   []modes.Endpoint
}

func fronts(c modes.Change, p modes.ServicePort) (out filter) {
	var to []modes.Endpoint
	if c.New != nil {
		to = c.New.Endpoints
	}
	for _, a := range slices.Concat([]netip.Addr{c.Old.ClusterIP}, c.Old.ExternalIPs, c.Old.LoadBalancerIPs) {
		out = append(out, front{a, p.Port, to})
	}
	if p.NodePort != 0 {
		out = append(out, front{netip.Addr{}, p.NodePort, to})
	}
	return out
}

// filter is a [netlink.CustomConntrackFilter].
type filter []front

// MatchConntrackFlow tells whether an entry is a changed port's and leads to none of
// its endpoints.
func (list filter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != modes.UDP.Number() {
		return false
	}
	dst, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	from, _ := netip.AddrFromSlice(flow.Reverse.SrcIP)
	for _, f := range list {
		if flow.Forward.DstPort == f.port && (!f.addr.IsValid() || f.addr == dst.Unmap()) {
			return !slices.ContainsFunc(f.to, func(ep modes.Endpoint) bool { return ep.Addr == from.Unmap() })
		}
	}
	return false
}
