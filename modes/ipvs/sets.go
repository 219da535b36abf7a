package ipvs

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"

	"viplab/modes"
)

// maxSetName is the kernel's limit for a set's name: IPSET_MAXNAMELEN less the zero.
const maxSetName = 31

// setName is the name of a set in the kernel: those of IPv6 are KUBE-6-*.
func (o Options) setName(set string) string {
	if o.Family == modes.IPv6 {
		name := "KUBE-6-" + strings.TrimPrefix(set, "KUBE-")
		return name[:min(len(name), maxSetName)]
	}
	return set
}

// deviceName is the name of the i-th dummy device. kube-proxy has one for both
// families.
func (o Options) deviceName(i int) string {
	if o.Family == modes.IPv6 {
		return fmt.Sprintf("kube-ip6vs%d", i)
	}
	return fmt.Sprintf("kube-ipvs%d", i)
}

func (o Options) createSet(set string, options netlink.IpsetCreateOptions) error {
	if setType(set) == "bitmap:port" {
		options.PortTo = 65535
	} else {
		options.Family = uint8(o.Family.Domain())
	}
	if err := netlink.IpsetCreate(o.setName(set), setType(set), options); err != nil {
		return fmt.Errorf("create ipset %s: %w", o.setName(set), err)
	}
	return nil
}

// CreateSets makes the ipsets that a Snapshot needs, none where rules stand for them.
// kube-proxy gives them 65536 entries at most; a larger Snapshot gets the room that it
// needs and as much again for changes.
func CreateSets(o Options, s modes.Snapshot) error {
	if o.byRules() {
		return nil
	}
	ports, endpoints := 0, 0
	for _, svc := range s.Services {
		ports += len(svc.Ports)
		endpoints += len(svc.Ports) * len(svc.Endpoints)
	}
	for set, need := range map[string]int{ClusterIPSet: ports, LoopBackSet: endpoints} {
		room := uint32(65536)
		for int(room) < 2*need {
			room *= 2
		}
		if err := o.createSet(set, netlink.IpsetCreateOptions{MaxElements: room}); err != nil {
			return err
		}
	}
	return nil
}

// nodeAddresses lists the node's own addresses of the family, without VIPs.
func (o Options) nodeAddresses() (nodes []netip.Addr, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the node's devices: %w", err)
	}
	for _, l := range links {
		if name := l.Attrs().Name; name == "lo" || strings.HasPrefix(name, "kube-ip") {
			continue
		}
		addrs, err := netlink.AddrList(l, o.Family.Domain())
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", l.Attrs().Name, err)
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && !ip.IsLinkLocalUnicast() {
				nodes = append(nodes, ip.Unmap())
			}
		}
	}
	return nodes, nil
}

// uplink is the index of the device that the node's default route leaves by.
func (o Options) uplink() (uint32, error) {
	routes, err := netlink.RouteList(nil, o.Family.Domain())
	if err != nil {
		return 0, fmt.Errorf("list the node's routes: %w", err)
	}
	for _, r := range routes {
		if r.LinkIndex > 0 && (r.Dst == nil || r.Dst.IP.IsUnspecified()) {
			return uint32(r.LinkIndex), nil
		}
	}
	return 0, fmt.Errorf("the node has no default route, by whose device VIPs could be aliases")
}
