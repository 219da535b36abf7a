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

// Addresses lists the addresses of a family by which others reach the node of this
// thread's network namespace, in the kernel's order: none of loopback, of one link only,
// or of the devices that hold VIPs.
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
