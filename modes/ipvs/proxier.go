package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	mobyipvs "github.com/moby/ipvs"
	"github.com/vishvananda/netlink"

	"viplab/modes"
	"viplab/modes/conntrack"
	"viplab/modes/iptables"
	"viplab/modes/rules"
)

// Proxier is the mode's [modes.Proxier].
type Proxier struct {
	options  Options
	restorer iptables.Restorer
	enc      *Writer
	current  modes.Snapshot
	external bool               // sets and rules for external addresses are there
	nodes    []netip.Addr       // the node's own addresses
	shared   map[netip.Addr]int // how many Services have an external address
	sysctls  []sysctl
}

// New makes a Proxier. It touches nothing yet.
func New(o Options) *Proxier {
	return &Proxier{options: o, restorer: iptables.Restorer{Family: o.Family}, shared: map[netip.Addr]int{}}
}

// Probe implements [modes.Proxier]: IPVS, ipset, the dummy device and iptables
// must all be there.
func (p *Proxier) Probe(ctx context.Context) error {
	if err := p.restorer.Probe(ctx); err != nil {
		return err
	}
	if err := probeIPVS(); err != nil {
		return &modes.MissingError{Need: "IPVS (ip_vs) in this kernel", Mend: "use --testbed uml", Err: err}
	}
	probe := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "viplab-probe"}}
	if err := netlink.LinkAdd(probe); err != nil {
		return &modes.MissingError{Need: "the dummy network device in this kernel", Mend: "use --testbed uml", Err: err}
	}
	if err := netlink.LinkDel(probe); err != nil {
		return fmt.Errorf("delete probe device: %w", err)
	}
	const set = "VIPLAB-PROBE"
	if err := netlink.IpsetCreate(set, "hash:ip,port", netlink.IpsetCreateOptions{}); err != nil {
		return &modes.MissingError{Need: "ipset in this kernel", Mend: "use --testbed uml", Err: err}
	}
	return netlink.IpsetDestroy(set)
}

// probeIPVS asks the kernel for IPVS before moby/ipvs does, which would only
// log that it is not there.
func probeIPVS() error {
	_, err := netlink.GenlFamilyGet("IPVS")
	if err == nil {
		return nil
	}
	if _, _, merr := (modes.Exec{}).Run(context.Background(), nil, "modprobe", "ip_vs"); merr != nil {
		return merr
	}
	_, err = netlink.GenlFamilyGet("IPVS")
	return err
}

// opsPerCheck is how many operations are carried out before the context is
// looked at again.
const opsPerCheck = 1024

// Sync implements [modes.Proxier].
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (cost modes.Cost, err error) {
	if p.enc == nil {
		start := time.Now()
		if cost, err = p.setUp(ctx, s); err != nil {
			return cost, fmt.Errorf("set up ipvs: %w", err)
		}
		// What of it is not the constant rules' is devices, sets and sysctls.
		cost.Commit += time.Since(start) - cost.Total()
	}
	if p.current.ClusterCIDR != s.ClusterCIDR && len(p.current.Services) > 0 {
		c, err := p.restorer.Commit(ctx, p.rules(s))
		cost.Add(c)
		if err != nil {
			return cost, err
		}
	}
	planStart := time.Now()
	changes := modes.Diff(p.current, s)
	if err := p.options.check(changes); err != nil {
		return cost, err
	}
	cost.Plan += time.Since(planStart)
	// Looking at what changed is enough, and does not grow with the Services.
	outer := func(c modes.Change) bool { return c.New != nil && c.New.External() }
	if !p.external && slices.ContainsFunc(changes, outer) {
		c, err := p.setUpExternal(ctx, s)
		cost.Add(c)
		if err != nil {
			return cost, fmt.Errorf("set up ipvs for external addresses: %w", err)
		}
	}
	if err := p.program(ctx, changes, &cost); err != nil {
		return cost, err
	}
	p.current = s
	n, err := conntrack.CleanUp(changes)
	cost.Objects += n
	if err != nil {
		return cost, err
	}
	if p.options.byRules() && len(changes) > 0 {
		c, err := p.restorer.Commit(ctx, p.rules(s))
		cost.Add(c)
		return cost, err
	}
	return cost, nil
}

// program carries the changes out over netlink.
func (p *Proxier) program(ctx context.Context, changes []modes.Change, cost *modes.Cost) (err error) {
	start := time.Now()
	sent, ops := p.enc.sent(), 0
	for o := range Plan(changes, p.nodes...) {
		if p.spared(o) {
			continue
		}
		if err = p.enc.Do(o); err != nil {
			break
		}
		if ops++; ops%opsPerCheck == 0 && ctx.Err() != nil {
			cost.Objects += ops
			return ctx.Err()
		}
	}
	encoded := time.Now()
	if err == nil {
		err = p.enc.Flush()
	}
	if err != nil {
		return fmt.Errorf("program ipvs object %d: %w", ops+1, err)
	}
	cost.Objects += ops
	cost.Bytes += p.enc.sent() - sent
	// A full batch is committed while others are written: what that took is no
	// encoding. Reading the clock is a system call in the guest, so each time is
	// read once.
	between := p.enc.committing()
	cost.Commit += between + time.Since(encoded)
	cost.Encode += encoded.Sub(start) - between
	return nil
}

// spared tells whether an operation is not to be carried out: an external address
// that another Service has too stays bound, and without ipsets there are no entries.
func (p *Proxier) spared(o Op) bool {
	switch {
	case (o.Kind == AddEntry || o.Kind == DelEntry) && p.options.byRules():
		return true
	case o.Kind == AddAddress && o.Shared:
		p.shared[o.VIP.Addr()]++
		return p.shared[o.VIP.Addr()] > 1
	case o.Kind == DelAddress && o.Shared:
		p.shared[o.VIP.Addr()]--
		return p.shared[o.VIP.Addr()] > 0
	}
	return false
}

func (e *Writer) sent() int { return e.route.bytes + e.ipset.bytes + e.ipvs.bytes }

// committing is how long the kernel has been at work since the last call.
func (e *Writer) committing() (d time.Duration) {
	for _, b := range []*batch{e.route, e.ipset, e.ipvs} {
		d += b.took
		b.took = 0
	}
	return d
}

// setUp makes the device, the sets, the sysctls and the constant rules.
func (p *Proxier) setUp(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	if err := probeIPVS(); err != nil {
		return modes.Cost{}, err
	}
	for i := range Devices(len(s.Services)) {
		if err := p.addDevice(p.options.deviceName(i)); err != nil {
			return modes.Cost{}, err
		}
	}
	var err error
	if p.enc, err = NewWriter(p.options); err != nil {
		return modes.Cost{}, err
	}
	if err := p.setSysctls(); err != nil {
		return modes.Cost{}, err
	}
	if err := CreateSets(p.options, s); err != nil {
		return modes.Cost{}, err
	}
	return p.restorer.Commit(ctx, p.rules(s))
}

func (p *Proxier) addDevice(name string) error {
	dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(dummy); err != nil {
		return fmt.Errorf("add device %s: %w", name, err)
	}
	// Routes and addresses of IPv6 need a device that is up; addresses of IPv4 do
	// not.
	if p.options.Bind != BindRoute && p.options.Family != modes.IPv6 {
		return nil
	}
	if err := netlink.LinkSetUp(dummy); err != nil {
		return fmt.Errorf("set device %s up: %w", name, err)
	}
	return nil
}

// hasExternal tells whether any Service is reached from outside.
func hasExternal(s modes.Snapshot) bool {
	return slices.ContainsFunc(s.Services, (*modes.Service).External)
}

// setUpExternal makes the sets and rules for Services that are reached from
// outside; without such a Service packets need not be looked up there.
func (p *Proxier) setUpExternal(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	for _, set := range externalSets() {
		if err := p.options.createSet(set, netlink.IpsetCreateOptions{}); err != nil {
			return modes.Cost{}, err
		}
	}
	p.external = true
	var err error
	if p.nodes, err = p.options.nodeAddresses(); err != nil {
		return modes.Cost{}, err
	}
	return p.restorer.Commit(ctx, p.rules(s))
}

// rules are the rules for a Snapshot.
func (p *Proxier) rules(s modes.Snapshot) rules.Ruleset { return p.options.Rules(s, p.external) }

// Refresh implements [modes.Refresher]. As in kube-proxy it reads every virtual
// server and its real servers back, and writes the constant rules again. Servers
// that somebody else deleted are an error here.
func (p *Proxier) Refresh(ctx context.Context) (modes.Cost, error) {
	start := time.Now()
	h, err := mobyipvs.New("")
	if err != nil {
		return modes.Cost{}, fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	there, _, err := p.servers(h)
	if err != nil {
		return modes.Cost{}, err
	}
	for _, s := range there {
		if _, err := h.GetDestinations(s); err != nil {
			return modes.Cost{}, fmt.Errorf("list real servers of %s:%d: %w", s.Address, s.Port, err)
		}
	}
	cost := modes.Cost{ReadBack: time.Since(start)}
	want := 0
	for o := range Plan(modes.Diff(modes.Snapshot{}, p.current), p.nodes...) {
		if o.Kind == AddServer {
			want++
		}
	}
	if len(there) != want {
		return cost, fmt.Errorf("the kernel has %d virtual servers, want %d", len(there), want)
	}
	c, err := p.restorer.Refresh(ctx)
	cost.Add(c)
	return cost, err
}

// Dump implements [modes.Proxier]: virtual and real servers in ipvsadm's form,
// then the iptables rules.
func (p *Proxier) Dump(ctx context.Context) (string, error) {
	h, err := mobyipvs.New("")
	if err != nil {
		return "", fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	services, _, err := p.servers(h)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range services {
		flag := Op{Proto: protocolOf(s.Protocol)}.flag()
		vip := net.JoinHostPort(s.Address.String(), fmt.Sprint(s.Port))
		fmt.Fprintf(&b, "-A %s %s -s %s\n", flag, vip, s.SchedName)
		dests, err := h.GetDestinations(s)
		if err != nil {
			return "", fmt.Errorf("list real servers of %s:%d: %w", s.Address, s.Port, err)
		}
		for _, d := range dests {
			fmt.Fprintf(&b, "-a %s %s -r %s %s -w %d\n", flag, vip, net.JoinHostPort(d.Address.String(), fmt.Sprint(d.Port)), p.options.forwardLetter(), d.Weight)
		}
	}
	out, err := p.restorer.Dump(ctx)
	return b.String() + out, err
}

// servers lists the virtual servers of the Proxier's family; others says whether there
// are any of the other one.
func (p *Proxier) servers(h *mobyipvs.Handle) (ours []*mobyipvs.Service, others bool, err error) {
	all, err := h.GetServices()
	if err != nil {
		return nil, false, fmt.Errorf("list virtual servers: %w", err)
	}
	domain, n := uint16(p.options.Family.Domain()), len(all)
	ours = slices.DeleteFunc(all, func(s *mobyipvs.Service) bool { return s.AddressFamily != domain })
	return ours, len(ours) < n, nil
}

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	if p.enc == nil {
		return nil
	}
	errs := []error{p.restorer.Clear(), p.flushServers()}
	if p.options.Bind == BindAlias {
		errs = append(errs, p.unbind())
	}
	sets := []string{ClusterIPSet, LoopBackSet}
	if p.external {
		sets = append(sets, externalSets()...)
	}
	for _, set := range sets {
		name := p.options.setName(set)
		if err := netlink.IpsetDestroy(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("destroy ipset %s: %w", name, err))
		}
	}
	for i := 0; ; i++ {
		link, err := netlink.LinkByName(p.options.deviceName(i))
		if err != nil {
			break
		}
		errs = append(errs, netlink.LinkDel(link))
	}
	errs = append(errs, p.enc.Close())
	errs = append(errs, p.restoreSysctls())
	p.enc, p.current, p.external, p.nodes, p.shared = nil, modes.Snapshot{}, false, nil, map[netip.Addr]int{}
	return errors.Join(errs...)
}

// unbind takes addresses away that do not go with a device.
func (p *Proxier) unbind() error {
	gone := map[netip.Addr]bool{}
	for o := range Plan(modes.Diff(p.current, modes.Snapshot{}), p.nodes...) {
		if o.Kind != DelAddress || gone[o.VIP.Addr()] {
			continue
		}
		gone[o.VIP.Addr()] = true
		if err := p.enc.Do(o); err != nil {
			return fmt.Errorf("unbind %s: %w", o.VIP.Addr(), err)
		}
	}
	return p.enc.Flush()
}

// flushServers deletes the virtual servers of the Proxier's family.
func (p *Proxier) flushServers() error {
	h, err := mobyipvs.New("")
	if err != nil {
		return fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	ours, others, err := p.servers(h)
	if err != nil {
		return err
	}
	if !others {
		if err := h.Flush(); err != nil {
			return fmt.Errorf("flush virtual servers: %w", err)
		}
		return nil
	}
	for _, s := range ours {
		if err := h.DelService(s); err != nil {
			return fmt.Errorf("delete virtual server %s:%d: %w", s.Address, s.Port, err)
		}
	}
	return nil
}
