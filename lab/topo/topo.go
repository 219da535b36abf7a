// Package topo builds the network that a trial runs in: three namespaces in a
// row, joined by veth pairs,
//
//	client 10.255.255.2 --- 10.255.255.1 node 10.64.0.1 --- 10.64.0.2 backend
//
// with the mode programmed in node. The backend owns the whole endpoint range
// by one local route (AnyIP), so every endpoint of every Service is live. The
// client is a pod by its address, the node is not: traffic from the node to a
// VIP is masqueraded, as kube-proxy would have it. With IPv6 there is a second set of
// addresses on the same links: see [Of].
package topo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// Options say what the network must carry.
type Options struct {
	Family modes.Family
	// DirectServerReturn joins backend and client by a further link, on which answers come back past
	// the node: for forwarding methods that leave packets as they are.
	DirectServerReturn bool
	// Tunnel says that packets come to the backend in tunnels.
	Tunnel bool
	// SamePort says that endpoints listen on the port of their Service. A backend that owns
	// the VIPs would then answer for those that are no Service, so they are refused.
	SamePort bool
}

// nodeRefuses tells whether VIPs that are no Service's are refused by the node: where the
// backend must own them. A route that refuses there stops what the node sends itself before
// rules have seen it, so it is the backend that refuses where it need not own them.
func (o Options) nodeRefuses() bool { return o.SamePort && o.DirectServerReturn }

// backendRefuses tells whether the backend refuses all VIPs, instead of owning them.
func (o Options) backendRefuses() bool { return o.SamePort && !o.DirectServerReturn }

func (o Options) families() []Addresses {
	var out []Addresses
	for _, f := range o.Family.Parts() {
		out = append(out, Of(f))
	}
	return out
}

// Topology is the three namespaces.
type Topology struct {
	Client, Node, Backend *Namespace

	options Options
}

// Build makes the namespaces and the links between them.
func Build(o Options) (*Topology, error) {
	t := &Topology{options: o}
	for name, into := range map[string]**Namespace{"client": &t.Client, "node": &t.Node, "backend": &t.Backend} {
		ns, err := newNamespace(name)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		*into = ns
	}
	if err := t.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("build topology: %w", err), t.Close())
	}
	return t, nil
}

// step is one thing to do in one namespace.
type step struct {
	ns *Namespace
	fn func() error
}

func do(steps ...step) error {
	for _, s := range steps {
		if err := s.ns.Do(s.fn); err != nil {
			return fmt.Errorf("namespace %s: %w", s.ns.Name, err)
		}
	}
	return nil
}

func (t *Topology) connect() error {
	prepare := func() error { return prepare(t.options.Family) }
	err := do(step{t.Client, prepare}, step{t.Node, prepare}, step{t.Backend, prepare},
		step{t.Node, func() error { return addVeth("to-client", t.Client, "to-node") }},
		step{t.Node, func() error { return addVeth("to-backend", t.Backend, "to-node") }},
		step{t.Node, func() error { return SetSysctl("net/ipv4/ip_forward", "1") }})
	if err != nil {
		return err
	}
	for _, a := range t.options.families() {
		if err := t.connectFamily(a); err != nil {
			return err
		}
	}
	// Routes refuse by ICMP. What is sent so counts twice towards a limit of five at once, one
	// a second, but for this.
	if t.options.nodeRefuses() {
		err = t.LiftICMPLimit()
	} else if t.options.backendRefuses() {
		err = t.Backend.Do(t.liftICMPLimit)
	}
	if err != nil {
		return err
	}
	if t.options.DirectServerReturn {
		return t.directServerReturn()
	}
	return nil
}

// refusal is the route that answers packets to a range that nothing else takes.
func refusal(p netip.Prefix) *netlink.Route {
	return &netlink.Route{Dst: ipNet(p), Type: unix.RTN_UNREACHABLE}
}

// refuse answers packets to a range that nothing else takes.
func refuse(p netip.Prefix) error {
	if err := netlink.RouteAdd(refusal(p)); err != nil {
		return fmt.Errorf("add an unreachable route to %s: %w", p, err)
	}
	return nil
}

// vipRoute is what the backend has for packets to VIPs.
func (o Options) vipRoute(a Addresses) (*netlink.Route, error) {
	if o.backendRefuses() {
		return refusal(a.VIPs), nil
	}
	return localRoute(a.VIPs)
}

// answerVIPs has the backend answer packets to VIPs.
func (o Options) answerVIPs(a Addresses) error {
	if o.backendRefuses() {
		// Only what forwards sends the ICMP error of a route.
		return errors.Join(SetSysctl("net/ipv4/ip_forward", "1"), refuse(a.VIPs))
	}
	return ownRange(a.VIPs)
}

// connectFamily gives the links their addresses and routes of one family.
func (t *Topology) connectFamily(a Addresses) error {
	steps := []step{
		{t.Node, func() error { return setAddress("to-client", a.ToClient) }},
		{t.Node, func() error { return setAddress("to-backend", a.Node) }},
		{t.Client, func() error { return setAddress("to-node", a.Client) }},
		{t.Backend, func() error { return setAddress("to-node", a.Backend) }},
		{t.Client, func() error { return addRoute(a.anywhere(), a.ToClient.Addr()) }},
		{t.Backend, func() error { return addRoute(a.anywhere(), a.Node.Addr()) }},
		{t.Node, func() error { return addRoute(a.Endpoints, a.Backend.Addr()) }},
		{t.Node, func() error { return addRoute(a.anywhere(), a.Backend.Addr()) }},
		{t.Backend, func() error { return ownEndpoints(a) }},
		// The backend owns the VIPs too, on which nothing listens, or refuses them: what the
		// node lets through to a VIP is answered at once, so that a probe of an address that
		// is no Service fails in microseconds.
		{t.Backend, func() error { return t.options.answerVIPs(a) }},
	}
	if a.Client.Addr().Is6() {
		steps = append(steps,
			step{t.Node, func() error { return SetSysctl("net/ipv6/conf/all/forwarding", "1") }},
			// With IPv6 a range that is local by a route is not the backend's to send
			// from, unless it is told so.
			step{t.Backend, func() error { return SetSysctl("net/ipv6/ip_nonlocal_bind", "1") }})
	}
	if t.options.nodeRefuses() {
		steps = append(steps, step{t.Node, func() error { return refuse(a.VIPs) }})
	}
	if err := do(steps...); err != nil {
		return err
	}
	return t.fixNeighbours(a)
}

// prepare brings loopback up and turns off what would add noise: IPv6 where it is
// not asked for, its duplicate address detection where it is, and reverse path
// filters.
func prepare(f modes.Family) error {
	if err := linkUp("lo"); err != nil {
		return err
	}
	for _, s := range []string{"all", "default"} {
		if err := SetSysctl("net/ipv4/conf/"+s+"/rp_filter", "0"); err != nil {
			return err
		}
		settings := [][2]string{{"disable_ipv6", "1"}}
		if f.Has(modes.IPv6) {
			// addr_gen_mode 1: no address but those that are given.
			settings = [][2]string{{"disable_ipv6", "0"}, {"accept_dad", "0"}, {"accept_ra", "0"}, {"addr_gen_mode", "1"}}
		}
		for _, set := range settings {
			err := SetSysctl("net/ipv6/conf/"+s+"/"+set[0], set[1])
			if errors.Is(err, os.ErrNotExist) && f.Has(modes.IPv6) {
				return &modes.MissingError{Need: "IPv6 in this kernel", Mend: "use --family ipv4, or a kernel with it", Err: err}
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// SetSysctl sets a sysctl in the namespace of the calling thread. Its name may have dots or
// slashes between its parts.
func SetSysctl(name, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/")), []byte(value), 0); err != nil {
		return fmt.Errorf("set sysctl %s to %s: %w", name, value, err)
	}
	return nil
}

func addVeth(name string, peer *Namespace, peerName string) error {
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: name})
	veth.PeerName, veth.PeerNamespace = peerName, netlink.NsFd(int(peer.fd))
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add veth %s: %w", name, err)
	}
	return nil
}

func setAddress(link string, addr netip.Prefix) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find link %s: %w", link, err)
	}
	if err := netlink.AddrAdd(l, &netlink.Addr{IPNet: ipNet(addr), Flags: unix.IFA_F_NODAD}); err != nil {
		return fmt.Errorf("add address %s to %s: %w", addr, link, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", link, err)
	}
	return nil
}

func addRoute(to netip.Prefix, via netip.Addr) error {
	if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("add route to %s via %s: %w", to, via, err)
	}
	return nil
}

// ownEndpoints makes every endpoint address local to the backend.
func ownEndpoints(a Addresses) error {
	if err := ownRange(a.Endpoints); err != nil {
		return err
	}
	// The client's link lies in that range too, but is not the backend's.
	err := netlink.RouteAdd(&netlink.Route{
		Dst: ipNet(a.Client.Masked()), Gw: a.Node.Addr().AsSlice(), Table: unix.RT_TABLE_LOCAL,
	})
	if err != nil {
		return fmt.Errorf("leave %s to the client: %w", a.Client.Masked(), err)
	}
	return nil
}

// ownRange makes all addresses of a range local.
func ownRange(p netip.Prefix) error {
	route, err := localRoute(p)
	if err == nil {
		err = netlink.RouteAdd(route)
	}
	if err != nil {
		return fmt.Errorf("make %s local: %w", p, err)
	}
	return nil
}

// localRoute is the route that makes all addresses of a range local.
func localRoute(p netip.Prefix) (*netlink.Route, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find lo: %w", err)
	}
	return &netlink.Route{
		Dst: ipNet(p), LinkIndex: lo.Attrs().Index,
		Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
	}, nil
}

// fixNeighbours enters both ends of each link in the other's neighbour table
// for good, so that no probe ever waits for ARP.
func (t *Topology) fixNeighbours(a Addresses) error {
	ends := []struct {
		ns, peer       *Namespace
		link, peerLink string
		peerAddr       netip.Prefix
	}{
		{t.Client, t.Node, "to-node", "to-client", a.ToClient},
		{t.Node, t.Client, "to-client", "to-node", a.Client},
		{t.Node, t.Backend, "to-backend", "to-node", a.Backend},
		{t.Backend, t.Node, "to-node", "to-backend", a.Node},
	}
	for _, e := range ends {
		mac, err := hardware(e.peer, e.peerLink)
		if err == nil {
			err = e.ns.Do(func() error { return addNeighbour(e.link, e.peerAddr.Addr(), mac) })
		}
		if err != nil {
			return fmt.Errorf("namespace %s: fix neighbour %s: %w", e.ns.Name, e.peerAddr.Addr(), err)
		}
	}
	return nil
}

// hardware is the link address of a device.
func hardware(ns *Namespace, link string) (mac net.HardwareAddr, err error) {
	err = ns.Do(func() error {
		l, err := netlink.LinkByName(link)
		if err == nil {
			mac = l.Attrs().HardwareAddr
		}
		return err
	})
	return mac, err
}

func addNeighbour(link string, ip netip.Addr, mac net.HardwareAddr) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: ip.AsSlice(), HardwareAddr: mac,
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Close takes the namespaces down, with all that is in them.
func (t *Topology) Close() error {
	return errors.Join(t.Client.Close(), t.Node.Close(), t.Backend.Close())
}
