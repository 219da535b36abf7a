package ipvs

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	mobyipvs "github.com/moby/ipvs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/clock"
)

// Refresh implements [modes.Refresher]: it reads back every virtual server with its real
// servers, every address and every set, puts right what somebody else has changed, and
// writes the rules again.
func (p *Proxier) Refresh(ctx context.Context) (cost modes.Cost, err error) {
	if err := p.resync(ctx, p.current, nil, &cost); err != nil {
		return cost, err
	}
	c, err := p.restorer.Refresh(ctx)
	cost.Add(c)
	return cost, err
}

// resync makes the kernel match a Snapshot whatever it holds. The first Sync is one, too.
func (p *Proxier) resync(ctx context.Context, s modes.Snapshot, changes []modes.Change, cost *modes.Cost) error {
	first := p.devices == 0
	p.certain = false
	start := clock.Now()
	p.external = p.external || hasExternal(s)
	if err := p.setUp(s); err != nil {
		return fmt.Errorf("set up ipvs: %w", err)
	}
	n, err := p.options.locate(s.Node, p.bound)
	if err != nil {
		return err
	}
	if err := n.clash(s); err != nil {
		return err
	}
	cost.Commit += clock.Since(start)
	c, err := p.restorer.Commit(ctx, p.options.rules(s, n, p.external))
	cost.Add(c)
	if err != nil {
		return err
	}
	if !first {
		start = clock.Now()
		if err = p.readBack(); err != nil {
			return err
		}
		cost.ReadBack += clock.Since(start)
	}
	if err := p.program(ctx, p.objects.match(s, n.needs), cost); err != nil {
		return err
	}
	p.current, p.node = s, n
	return p.cleaner.After(changes, s, cost)
}

// match has the account hold what a Snapshot needs and nothing else, whoever needed it
// before.
func (a *account) match(s modes.Snapshot, now needs) iter.Seq[Op] {
	return func(yield func(Op) bool) {
		for _, svc := range s.Services {
			if !a.acquire([]modes.Change{{New: svc}}, now, yield) {
				return
			}
		}
		a.sweep(yield)
	}
}

// setUp makes what is not there of devices, sysctls and sets, and opens the sockets.
func (p *Proxier) setUp(s modes.Snapshot) error {
	if err := probeIPVS(); err != nil {
		return err
	}
	if p.devices == 0 {
		p.devices = p.options.Devices(len(s.Services))
	}
	for i := range p.devices {
		if err := p.options.addDevice(p.options.deviceName(i)); err != nil {
			return err
		}
	}
	if p.enc != nil {
		_ = p.enc.Close() // it may hold unread answers
		p.enc = nil
	}
	enc, err := NewWriter(p.options)
	if err != nil {
		return err
	}
	p.enc = enc
	if err := p.setSysctls(); err != nil {
		return err
	}
	return p.options.createSets(p.external)
}

// readBack makes the account one of what the kernel holds, which nobody needs so far. After
// an error it stays as it was: what has been bound is known from it.
func (p *Proxier) readBack() error {
	a := newAccount()
	note := func(o Op) { a.held[o.key()] = claim{terms: o.terms} }
	err := p.readAddresses(note)
	if err == nil {
		err = p.readServers(note)
	}
	if err == nil && !p.options.byRules() {
		err = p.readSets(note)
	}
	if err == nil {
		p.objects = a
	}
	return err
}

// readSets notes the entries of the sets.
func (p *Proxier) readSets(note func(Op)) error {
	for _, set := range setsFor(p.external) {
		list, err := netlink.IpsetList(p.options.setName(set))
		if err != nil {
			return fmt.Errorf("list ipset %s: %w", p.options.setName(set), explain(err))
		}
		for i := range list.Entries {
			note(entryOf(set, &list.Entries[i]))
		}
	}
	return nil
}

// readAddresses notes the addresses that are bound: all on the dummy devices, or those
// among the uplink's that the Proxier may have bound.
func (p *Proxier) readAddresses(note func(Op)) error {
	found := func(a netip.Addr) { note(Op{Kind: AddAddress, VIP: netip.AddrPortFrom(a, 0)}) }
	if p.options.byRoute() {
		return p.readRoutes(found)
	}
	list, err := openLister()
	if err != nil {
		return err
	}
	defer list.Close()
	for _, device := range p.enc.bound {
		addrs, err := list.addresses(p.options.Family, int(device))
		if err != nil {
			return fmt.Errorf("list bound addresses: %w", err)
		}
		for _, a := range addrs {
			if p.options.Bind != BindAlias || p.bound(a) {
				found(a)
			}
		}
	}
	return nil
}

// readRoutes finds the local routes by the dummy devices.
func (p *Proxier) readRoutes(found func(netip.Addr)) error {
	for _, device := range p.enc.bound {
		filter := &netlink.Route{Table: unix.RT_TABLE_LOCAL, LinkIndex: int(device), Type: unix.RTN_LOCAL}
		routes, err := netlink.RouteListFiltered(p.options.Family.Domain(), filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_TYPE)
		if err != nil {
			return fmt.Errorf("list bound routes: %w", err)
		}
		for _, r := range routes {
			if r.Dst == nil {
				continue
			}
			if ones, bits := r.Dst.Mask.Size(); ones < bits {
				continue // no VIP's: it could not be deleted by its address
			}
			a, ok := netip.AddrFromSlice(r.Dst.IP)
			if a = a.Unmap(); ok && !a.IsLinkLocalUnicast() {
				found(a)
			}
		}
	}
	return nil
}

// readServers notes the virtual servers with their real servers.
func (p *Proxier) readServers(note func(Op)) error {
	h, err := mobyipvs.New("")
	if err != nil {
		return fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	there, _, err := p.servers(h)
	if err != nil {
		return err
	}
	scheduler, flags := p.options.scheduling()
	for _, s := range there {
		o := Op{Kind: AddServer, Proto: protocolOf(s.Protocol), VIP: addrPort(s.Address, s.Port)}
		if s.Flags&flagPersistent != 0 {
			o.Persist = s.Timeout
		}
		o.strange = s.SchedName != scheduler || s.Flags&^(flagPersistent|flagHashed) != flags
		note(o)
		dests, err := h.GetDestinations(s)
		if err != nil {
			return fmt.Errorf("list real servers of %s: %w", o.VIP, explain(err))
		}
		for _, d := range dests {
			note(Op{Kind: AddReal, Proto: o.Proto, VIP: o.VIP, Real: addrPort(d.Address, d.Port), terms: terms{
				Weight: uint16(d.Weight), strange: d.ConnectionFlags&mobyipvs.ConnectionFlagFwdMask != p.options.forwardFlag()}})
		}
	}
	return nil
}

func addrPort(ip []byte, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}

// servers lists the virtual servers of the Proxier's family, without those for marked
// packets, which are somebody else's; others says whether there are any of those or of the
// other family.
func (p *Proxier) servers(h *mobyipvs.Handle) (own []*mobyipvs.Service, others bool, err error) {
	all, err := h.GetServices()
	if err != nil {
		return nil, false, fmt.Errorf("list virtual servers: %w", explain(err))
	}
	domain, n := uint16(p.options.Family.Domain()), len(all)
	own = slices.DeleteFunc(all, func(s *mobyipvs.Service) bool { return s.AddressFamily != domain || s.FWMark != 0 })
	return own, len(own) < n, nil
}

// flushServers deletes the virtual servers of the Proxier's family.
func (p *Proxier) flushServers() error {
	h, err := mobyipvs.New("")
	if err != nil {
		return fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	own, others, err := p.servers(h)
	if err != nil {
		return err
	}
	if !others {
		if err := h.Flush(); err != nil {
			return fmt.Errorf("flush virtual servers: %w", explain(err))
		}
		return nil
	}
	for _, s := range own {
		if err := h.DelService(s); err != nil {
			return fmt.Errorf("delete virtual server %s: %w", addrPort(s.Address, s.Port), explain(err))
		}
	}
	return nil
}
