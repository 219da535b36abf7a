package topo

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// tunnelDevice is the device that a kernel with IP-in-IP tunnels has by itself: it
// takes tunnelled packets from anywhere.
const tunnelDevice = "tunl0"

// directServerReturn lets real servers answer clients past the node, as direct routing and tunnels
// need it. The real servers have the VIPs already.
func (t *Topology) directServerReturn() error {
	err := do(
		step{t.Backend, func() error { return addVeth("to-client", t.Client, "to-backend") }},
		step{t.Backend, func() error { return linkUp("to-client") }},
		step{t.Client, func() error { return linkUp("to-backend") }})
	if err == nil && t.options.Tunnel {
		err = t.Backend.Do(endTunnels)
	}
	if err != nil {
		return err
	}
	mac, err := hardware(t.Client, "to-backend")
	if err != nil {
		return fmt.Errorf("find the client's second link: %w", err)
	}
	for _, a := range t.options.families() {
		err := do(
			step{t.Backend, func() error { return addNeighbour("to-client", a.Client.Addr(), mac) }},
			step{t.Backend, func() error { return routeBy("to-client", a.Client.Addr()) }})
		if err != nil {
			return err
		}
	}
	return nil
}

func linkUp(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// endTunnels lets a namespace take packets out of IP-in-IP tunnels.
func endTunnels() error {
	if _, err := netlink.LinkByName(tunnelDevice); err != nil {
		_, _, merr := (modes.Exec{}).Run(context.Background(), nil, "modprobe", "ipip")
		if _, err := netlink.LinkByName(tunnelDevice); err != nil {
			return &modes.MissingError{Need: "IP-in-IP tunnels (ipip) in this kernel", Mend: "sudo modprobe ipip, or a kernel with it", Err: cmp.Or(merr, err)}
		}
	}
	if err := SetSysctl("net/ipv4/conf/"+tunnelDevice+"/rp_filter", "0"); err != nil {
		return err
	}
	return linkUp(tunnelDevice)
}

// routeBy leads one address out by a link, before all other routes.
func routeBy(link string, to netip.Addr) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find link %s: %w", link, err)
	}
	route := &netlink.Route{Dst: ipNet(modes.Host(to)), LinkIndex: l.Attrs().Index, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("add route to %s by %s: %w", to, link, err)
	}
	return nil
}
