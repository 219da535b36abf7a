// Package node asks the kernel about the node: what the [modes.NodeConfig] of a Snapshot
// leaves open.
package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"viplab/modes"
)

// Devices whose addresses are not the node's own: VIPs stand on kube-ip*.
const vipDevices = "kube-ip"

// anywhere is an address of a family that is nobody's (RFC 5737, RFC 3849): the way to it
// is the default route.
func anywhere(f modes.Family) netip.Addr {
	if f == modes.IPv6 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("192.0.2.1")
}

// Uplink is the index of the device that the default route leaves by, and the address that
// the node sends from there, by which it is known; 0 if it has no such route.
func Uplink(f modes.Family) (index int, from netip.Addr) {
	routes, err := netlink.RouteGet(anywhere(f).AsSlice())
	if err != nil || len(routes) == 0 {
		return 0, netip.Addr{}
	}
	from, _ = netip.AddrFromSlice(routes[0].Src)
	return routes[0].LinkIndex, from.Unmap()
}

// Addresses lists the addresses of a family by which others reach the node of this
// thread's network namespace: first the one that it is known by, the others in the
// kernel's order, none of loopback, of one link only, or of the devices that hold VIPs.
func Addresses(f modes.Family) ([]netip.Addr, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the node's devices: %w", err)
	}
	var out []netip.Addr
	for _, l := range links {
		name := l.Attrs().Name
		if strings.HasPrefix(name, vipDevices) {
			continue
		}
		addrs, err := netlink.AddrList(l, f.Domain())
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", name, err)
		}
		for _, a := range addrs {
			ip, ok := netip.AddrFromSlice(a.IP)
			if ip = ip.Unmap(); ok && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !slices.Contains(out, ip) {
				out = append(out, ip)
			}
		}
	}
	if _, from := Uplink(f); slices.Contains(out, from) {
		others := slices.DeleteFunc(out, func(a netip.Addr) bool { return a == from })
		out = append([]netip.Addr{from}, others...)
	}
	return out, nil
}

// Located is a Snapshot of one family with the node's addresses in it, asked of the kernel
// if it has none and something in it depends on them: node ports at some addresses only,
// and balancers' source ranges, which the node may be in.
func Located(s modes.Snapshot, f modes.Family) (modes.Snapshot, error) {
	ranged := func(svc *modes.Service) bool { return len(svc.SourceRanges) > 0 }
	if len(s.Node.Addrs) > 0 || s.Node.AllNodePorts(f) && !slices.ContainsFunc(s.Services, ranged) {
		return s, nil
	}
	var err error
	s.Node.Addrs, err = Addresses(f)
	return s, err
}
