package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viplab/modes"
	self "viplab/modes/packet/node"
)

// node is what the mode must know of the node itself.
type node struct {
	// addrs are its own addresses, sorted, without VIPs: node ports are served on
	// them, and they must neither be bound again nor taken away.
	addrs []netip.Addr
	// ports are those of them on which node ports are served.
	ports []netip.Addr
	// main is the address that it is known by, kube-proxy's node IP.
	main netip.Addr
}

// nodeOf is a node of some addresses, the first of which it is known by.
func nodeOf(c modes.NodeConfig, addrs ...netip.Addr) (n node) {
	if len(addrs) > 0 {
		n.main = addrs[0]
	}
	n.addrs = slices.Clone(addrs)
	slices.SortFunc(n.addrs, netip.Addr.Compare)
	n.addrs = slices.Compact(n.addrs)
	n.ports = slices.DeleteFunc(slices.Clone(n.addrs), func(a netip.Addr) bool { return !c.NodePortAt(a) })
	return n
}

// has tells whether an address is the node's own.
func (n node) has(a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(n.addrs, a, netip.Addr.Compare)
	return found
}

func (n node) equal(o node) bool {
	return n.main == o.main && slices.Equal(n.addrs, o.addrs) && slices.Equal(n.ports, o.ports)
}

// locate finds the node's own addresses of the family: those that the Snapshot names, or
// all that the kernel has. An address that the mode has bound to a device of the node's is
// none of them: bound tells which.
func (o Options) locate(c modes.NodeConfig, bound func(netip.Addr) bool) (node, error) {
	given := slices.DeleteFunc(slices.Clone(c.Addrs), func(a netip.Addr) bool { return !o.Family.Has(modes.FamilyOf(a)) })
	if len(given) > 0 {
		return nodeOf(c, given...), nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return node{}, fmt.Errorf("list the node's devices: %w", err)
	}
	list, err := openLister()
	if err != nil {
		return node{}, err
	}
	defer list.Close()
	var addrs []netip.Addr
	for _, l := range links {
		if ours(l.Attrs().Name) {
			continue
		}
		here, err := list.addresses(o.Family, l.Attrs().Index)
		if err != nil {
			return node{}, fmt.Errorf("list addresses of %s: %w", l.Attrs().Name, err)
		}
		for _, a := range here {
			if !a.IsLoopback() && (o.Bind != BindAlias || !bound(a)) {
				addrs = append(addrs, a)
			}
		}
	}
	return o.sends(nodeOf(c, addrs...)), nil
}

// sends is the node known by the address that it sends from, if that is one of its own.
func (o Options) sends(n node) node {
	if _, from := self.Uplink(o.Family); n.has(from) {
		n.main = from
	}
	return n
}

// lister lists addresses of one device. The kernel looks at that device alone if it is
// asked strictly, while [netlink.AddrList] has it list all addresses, of which there may
// be as many as VIPs.
type lister struct{ *nl.NetlinkSocket }

func openLister() (lister, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return lister{}, fmt.Errorf("open a netlink socket to list addresses: %w", err)
	}
	// A kernel before 4.20 does not know the option and lists all addresses.
	if err := unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		s.Close()
		return lister{}, fmt.Errorf("set NETLINK_GET_STRICT_CHK: %w", err)
	}
	return lister{s}, nil
}

// addresses are a device's of one family, without those that are good for its link only.
func (l lister) addresses(f modes.Family, device int) ([]netip.Addr, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: l.NetlinkSocket}}
	ask := nl.NewIfAddrmsg(f.Domain())
	ask.Index = uint32(device)
	req.AddData(ask)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, m := range answers {
		head := nl.DeserializeIfAddrmsg(m)
		attrs, err := nl.ParseRouteAttr(m[head.Len():])
		if err != nil {
			return nil, err
		}
		if int(head.Index) != device {
			continue
		}
		if ip, ok := local(attrs); ok && !ip.IsLinkLocalUnicast() {
			out = append(out, ip)
		}
	}
	return out, nil
}

// local is the address among a message's attributes: IFA_LOCAL, or for IPv6 without a
// peer IFA_ADDRESS.
func local(attrs []syscall.NetlinkRouteAttr) (ip netip.Addr, ok bool) {
	for _, a := range attrs {
		if a.Attr.Type == unix.IFA_LOCAL || a.Attr.Type == unix.IFA_ADDRESS && !ok {
			ip, ok = netip.AddrFromSlice(a.Value)
		}
	}
	return ip.Unmap(), ok
}

// clash says which two Services claim the same port of one of the node's addresses: one
// has it as an external address, and the other's node port is served there.
func (n node) clash(s modes.Snapshot) error {
	type front struct {
		addr  netip.Addr
		port  uint16
		proto modes.Protocol
	}
	claimed := map[front]*modes.Service{}
	for _, svc := range s.Services {
		for _, a := range slices.Concat(svc.ExternalIPs, svc.LoadBalancerIPs) {
			for _, p := range svc.Ports {
				if n.has(a) {
					claimed[front{a, p.Port, p.Protocol}] = svc
				}
			}
		}
	}
	if len(claimed) == 0 {
		return nil
	}
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			for _, a := range n.ports {
				if o := claimed[front{a, p.NodePort, p.Protocol}]; o != nil {
					return fmt.Errorf("services %s and %s both claim %s:%d/%s, an address of the node's: one as an external address, the other by its node port",
						o.Key(), svc.Key(), a, p.NodePort, p.Protocol)
				}
			}
		}
	}
	return nil
}
