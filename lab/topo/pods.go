package topo

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Routing tables of [Topology.LetPodsDial], and the order in which the backend asks them:
// the table of its own addresses, which the kernel asks before all others, comes last.
const (
	podTable    = 100 // VIPs, for packets that come in
	betweenPods = 101 // what one endpoint sends to another
	ownPriority = 110
)

// LetPodsDial lets endpoints dial VIPs and each other from the backend. As built, the
// backend takes VIPs for its own addresses, which answers for what the node lets through,
// and endpoints have each other as neighbours, so that answers would not pass the node.
// Here what starts in the backend goes out to the node, and the rest is as before. It
// costs every packet of the backend a look at rules, so nothing is timed after it.
func (t *Topology) LetPodsDial() error {
	return t.Backend.Do(func() error {
		// What an endpoint sends comes back from the node with an address of the backend's.
		if err := SetSysctl("net/ipv4/conf/all/accept_local", "1"); err != nil {
			return err
		}
		for _, a := range t.options.families() {
			if err := t.options.takeWhatComesIn(a); err != nil {
				return fmt.Errorf("let pods dial %s: %w", a.VIPs, err)
			}
			if err := sendByNode(a); err != nil {
				return fmt.Errorf("let pods dial each other in %s: %w", a.Endpoints, err)
			}
		}
		return nil
	})
}

// takeWhatComesIn has VIPs be the backend's own, or refused, for packets that come in alone.
func (o Options) takeWhatComesIn(a Addresses) error {
	route, err := o.vipRoute(a)
	if err != nil {
		return err
	}
	if err := netlink.RouteDel(route); err != nil {
		return err
	}
	route.Table = podTable
	if err := netlink.RouteAdd(route); err != nil {
		return err
	}
	return netlink.RuleAdd(a.rule(podTable, podTable, "to-node"))
}

// sendByNode sends what goes from one endpoint to another to the node.
func sendByNode(a Addresses) error {
	route := &netlink.Route{Dst: ipNet(a.anywhere()), Gw: a.Node.Addr().AsSlice(), Table: betweenPods}
	if err := netlink.RouteAdd(route); err != nil {
		return err
	}
	between := a.rule(betweenPods, betweenPods, "lo") // which is where what the backend sends comes from
	between.Src, between.Dst = ipNet(a.Endpoints), ipNet(a.Endpoints)
	if err := netlink.RuleAdd(between); err != nil {
		return err
	}
	if err := netlink.RuleAdd(a.rule(ownPriority, unix.RT_TABLE_LOCAL, "")); err != nil {
		return err
	}
	return netlink.RuleDel(a.rule(0, unix.RT_TABLE_LOCAL, ""))
}

// rule has the kernel ask a routing table about packets that come from a link.
func (a Addresses) rule(priority, table int, from string) *netlink.Rule {
	r := netlink.NewRule()
	r.Priority, r.Table, r.IifName, r.Family = priority, table, from, netlink.FAMILY_V4
	if a.VIPs.Addr().Is6() {
		r.Family = netlink.FAMILY_V6
	}
	return r
}

// LiftICMPLimit lets the node refuse as often as it is asked: by default it sends about one
// ICMP error a second to one host, and a client that is refused more often waits instead.
func (t *Topology) LiftICMPLimit() error { return t.Node.Do(t.liftICMPLimit) }

// liftICMPLimit is LiftICMPLimit of the namespace that it is called in.
func (t *Topology) liftICMPLimit() error {
	for _, a := range t.options.families() {
		name := "net/ipv4/icmp_ratemask" // of no kind; a limit of 0 would use up what routes may refuse
		if a.VIPs.Addr().Is6() {
			name = "net/ipv6/icmp/ratelimit"
		}
		if err := SetSysctl(name, "0"); err != nil {
			return err
		}
	}
	return nil
}
