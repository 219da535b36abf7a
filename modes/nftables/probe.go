package nftables

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

// probeTable is a table that is never committed without being deleted at once.
const probeTable = "viplab-probe"

// Probe implements [modes.Proxier]: it writes a table with one rule of each kind and
// deletes it in the same transaction, so that no packet ever meets it.
func (p *Proxier) Probe(ctx context.Context) error {
	planner := Planner{Options: p.Options}
	c := whole(planner.Plan(probeSnapshot(p.Family)), false)
	if p.apply() == Tool {
		change, _ := declared{}.transactions(c, p.Family)
		_, _, err := p.runner().Run(ctx, modes.Text(change.String()), "nft", "--check", "-f", "-")
		return p.missing(err)
	}
	l := link{}
	if err := l.open(); err != nil {
		return p.missing(err)
	}
	e := encoder{family: p.Family, name: probeTable, sets: declared{}}
	if err := e.encode(c); err != nil {
		return err
	}
	e.table(unix.NFT_MSG_DELTABLE)
	err := l.transact(e.out)
	if err := l.close(); err != nil {
		return err
	}
	return p.missing(err)
}

// missing makes what was seen a [modes.MissingError].
func (p *Proxier) missing(err error) error {
	if err == nil || modes.IsMissing(err) {
		return err
	}
	need := "nf_tables with nat, maps, random numbers and fib, for family " + network(p.Family) + ", in this kernel"
	return &modes.MissingError{Need: need, Mend: "use a kernel with nf_tables (CONFIG_NF_TABLES and its nft_* modules), and the right to program it", Err: err}
}

// probeSnapshot has a Service of each kind that needs other rules.
func probeSnapshot(f modes.Family) modes.Snapshot {
	addr, cluster := netip.MustParseAddr("10.96.0.1"), netip.MustParsePrefix("10.128.0.0/9")
	if f == modes.IPv6 {
		addr, cluster = netip.MustParseAddr("fd00::1"), netip.MustParsePrefix("fd01::/16")
	}
	ports := []modes.ServicePort{{Name: "probe", Protocol: modes.TCP, Port: 80, TargetPort: 8080, NodePort: 30000}}
	plain := &modes.Service{Namespace: "probe", Name: "a", ClusterIP: addr, Ports: ports, Endpoints: []modes.Endpoint{{Addr: addr}, {Addr: addr.Next()}}}
	sticky := *plain
	sticky.Name, sticky.Affinity, sticky.ExternalLocal = "b", time.Second, true
	sticky.ClusterIP = addr.Next().Next()
	sticky.LoadBalancerIPs, sticky.SourceRanges = []netip.Addr{sticky.ClusterIP.Next()}, []netip.Prefix{cluster}
	sticky.Ports = []modes.ServicePort{{Name: "probe", Protocol: modes.TCP, Port: 80, TargetPort: 8080}}
	return modes.Snapshot{Services: []*modes.Service{plain, &sticky}, ClusterCIDR: cluster}
}
