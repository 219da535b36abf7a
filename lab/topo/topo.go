// Package topo builds the network that a trial runs in: three namespaces in a
// row, joined by veth pairs,
//
//	client 10.255.255.2 --- 10.255.255.1 node 10.64.0.1 --- 10.64.0.2 backend
//
// with the mode programmed in node. The backend owns the whole endpoint range
// by one local route (AnyIP), so every endpoint of every Service is live. The
// client is a pod by its address, the node is not: traffic from the node to a
// VIP is masqueraded, as kube-proxy would have it.
package topo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes/synth"
)

// Addresses of the namespaces.
var (
	ClientAddr  = netip.MustParsePrefix("10.255.255.2/30")
	nodeClient  = netip.MustParsePrefix("10.255.255.1/30")
	NodeAddr    = netip.MustParsePrefix("10.64.0.1/30")
	BackendAddr = netip.MustParsePrefix("10.64.0.2/30")
)

// Topology is the three namespaces.
type Topology struct {
	Client, Node, Backend *Namespace
}

// Build makes the namespaces and the links between them.
func Build() (*Topology, error) {
	t := &Topology{}
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

func (t *Topology) connect() error {
	steps := []struct {
		ns *Namespace
		fn func() error
	}{
		{t.Client, prepare}, {t.Node, prepare}, {t.Backend, prepare},
		{t.Node, func() error { return addVeth("to-client", nodeClient, t.Client, "to-node") }},
		{t.Node, func() error { return addVeth("to-backend", NodeAddr, t.Backend, "to-node") }},
		{t.Client, func() error { return setAddress("to-node", ClientAddr) }},
		{t.Backend, func() error { return setAddress("to-node", BackendAddr) }},
		{t.Client, func() error { return addRoute("0.0.0.0/0", nodeClient.Addr()) }},
		{t.Backend, func() error { return addRoute("0.0.0.0/0", NodeAddr.Addr()) }},
		{t.Node, func() error { return addRoute(synth.EndpointRange.String(), BackendAddr.Addr()) }},
		{t.Node, func() error { return addRoute("0.0.0.0/0", BackendAddr.Addr()) }},
		{t.Backend, ownEndpoints},
		{t.Backend, refuseVIPs},
		{t.Node, func() error { return writeSysctl("net/ipv4/ip_forward", "1") }},
	}
	for _, s := range steps {
		if err := s.ns.Do(s.fn); err != nil {
			return fmt.Errorf("namespace %s: %w", s.ns.Name, err)
		}
	}
	return t.fixNeighbours()
}

// prepare brings loopback up and turns off what would add noise: IPv6 with its
// duplicate address detection, and reverse path filters.
func prepare() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	for _, s := range []string{"all", "default"} {
		if err := writeSysctl("net/ipv4/conf/"+s+"/rp_filter", "0"); err != nil {
			return err
		}
		err := writeSysctl("net/ipv6/conf/"+s+"/disable_ipv6", "1")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func writeSysctl(name, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
		return fmt.Errorf("set sysctl %s to %s: %w", name, value, err)
	}
	return nil
}

func addVeth(name string, addr netip.Prefix, peer *Namespace, peerName string) error {
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: name})
	veth.PeerName, veth.PeerNamespace = peerName, netlink.NsFd(int(peer.fd))
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add veth %s: %w", name, err)
	}
	return setAddress(name, addr)
}

func setAddress(link string, addr netip.Prefix) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find link %s: %w", link, err)
	}
	if err := netlink.AddrAdd(l, &netlink.Addr{IPNet: ipNet(addr)}); err != nil {
		return fmt.Errorf("add address %s to %s: %w", addr, link, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", link, err)
	}
	return nil
}

func addRoute(to string, via netip.Addr) error {
	dst := ipNet(netip.MustParsePrefix(to))
	if err := netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("add route to %s via %s: %w", to, via, err)
	}
	return nil
}

// ownEndpoints makes every endpoint address local to the backend.
func ownEndpoints() error {
	if err := ownRange(synth.EndpointRange); err != nil {
		return err
	}
	// The client's link lies in that range too, but is not the backend's.
	return netlink.RouteAdd(&netlink.Route{
		Dst: ipNet(ClientAddr.Masked()), Gw: NodeAddr.Addr().AsSlice(), Table: unix.RT_TABLE_LOCAL,
	})
}

// ownRange makes all addresses of a range local.
func ownRange(p netip.Prefix) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	err = netlink.RouteAdd(&netlink.Route{
		Dst: ipNet(p), LinkIndex: lo.Attrs().Index,
		Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
	})
	if err != nil {
		return fmt.Errorf("make %s local: %w", p, err)
	}
	return nil
}

// refuseVIPs makes the backend own the VIPs too, on which nothing listens: what
// the node lets through to a VIP is answered with a reset at once, so that a
// probe of an address that is no Service fails in microseconds.
func refuseVIPs() error { return ownRange(synth.VIPRange) }

// podTable is the routing table of [Topology.LetPodsDial].
const podTable = 100

// LetPodsDial lets endpoints dial VIPs from the backend: as built, the backend
// takes VIPs for its own addresses, which answers for what the node lets through.
// Here that goes only for packets that come in; what starts in the backend goes
// out to the node. It costs every packet of the backend a look at a rule, so
// nothing is timed after it.
func (t *Topology) LetPodsDial() error {
	return t.Backend.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo: %w", err)
		}
		route := &netlink.Route{
			Dst: ipNet(synth.VIPRange), LinkIndex: lo.Attrs().Index,
			Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
		}
		if err := netlink.RouteDel(route); err != nil {
			return fmt.Errorf("give up the VIPs: %w", err)
		}
		route.Table = podTable
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("take VIPs that come in: %w", err)
		}
		rule := netlink.NewRule()
		rule.IifName, rule.Table, rule.Priority = "to-node", podTable, podTable
		if err := netlink.RuleAdd(rule); err != nil {
			return fmt.Errorf("take VIPs that come in: %w", err)
		}
		return nil
	})
}

// fixNeighbours enters both ends of each link in the other's neighbour table
// for good, so that no probe ever waits for ARP.
func (t *Topology) fixNeighbours() error {
	ends := []struct {
		ns, peer       *Namespace
		link, peerLink string
		peerAddr       netip.Prefix
	}{
		{t.Client, t.Node, "to-node", "to-client", nodeClient},
		{t.Node, t.Client, "to-client", "to-node", ClientAddr},
		{t.Node, t.Backend, "to-backend", "to-node", BackendAddr},
		{t.Backend, t.Node, "to-node", "to-backend", NodeAddr},
	}
	for _, e := range ends {
		var mac net.HardwareAddr
		err := e.peer.Do(func() error {
			l, err := netlink.LinkByName(e.peerLink)
			if err == nil {
				mac = l.Attrs().HardwareAddr
			}
			return err
		})
		if err == nil {
			err = e.ns.Do(func() error { return addNeighbour(e.link, e.peerAddr.Addr(), mac) })
		}
		if err != nil {
			return fmt.Errorf("namespace %s: fix neighbour %s: %w", e.ns.Name, e.peerAddr.Addr(), err)
		}
	}
	return nil
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
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// Close takes the namespaces down, with all that is in them.
func (t *Topology) Close() error {
	return errors.Join(t.Client.Close(), t.Node.Close(), t.Backend.Close())
}
