package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	mobyipvs "github.com/moby/ipvs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/rules"
)

// Ways to make a VIP local to the node, so that IPVS sees its packets.
const (
	// BindAddress: an address of a dummy device, as kube-proxy has it. The
	// kernel looks through all addresses of the host whenever one is added.
	BindAddress = "address"
	// BindRoute: a route of type local, without an address.
	BindRoute = "route"
)

// Binds lists them, the default first.
func Binds() []string { return []string{BindAddress, BindRoute} }

// Schedulers lists the kernel's, the default first. All weights are one, so the
// weighted ones choose like those without weights.
func Schedulers() []string {
	return []string{"rr", "wrr", "lc", "wlc", "sh", "dh", "lblc", "sed", "nq", "mh"}
}

// Proxier is the mode's [modes.Proxier].
type Proxier struct {
	// Bind is how VIPs are made local, [BindAddress] if empty.
	Bind string
	// Scheduler picks real servers, one of [Schedulers], round robin if empty.
	Scheduler string

	restorer iptables.Restorer
	enc      *Writer
	current  modes.Snapshot
	external bool         // sets and rules for external addresses are there
	nodes    []netip.Addr // the node's own addresses
	sysctls  []sysctl
}

// New makes a Proxier that binds VIPs in one of the ways of [Binds]. It touches
// nothing yet.
func New(bind string) *Proxier { return &Proxier{Bind: bind} }

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
	if !p.external && hasExternal(s) {
		c, err := p.setUpExternal(ctx, s)
		cost.Add(c)
		if err != nil {
			return cost, fmt.Errorf("set up ipvs for external addresses: %w", err)
		}
	}
	planStart := time.Now()
	changes := modes.Diff(p.current, s)
	planned := time.Now()
	cost.Plan += planned.Sub(planStart)
	sent, ops := p.enc.sent(), 0
	for o := range Plan(changes, p.nodes...) {
		if err = p.enc.Do(o); err != nil {
			break
		}
		if ops++; ops%opsPerCheck == 0 && ctx.Err() != nil {
			cost.Objects += ops
			return cost, ctx.Err()
		}
	}
	encoded := time.Now()
	if err == nil {
		err = p.enc.Flush()
	}
	if err != nil {
		return cost, fmt.Errorf("program ipvs object %d: %w", ops+1, err)
	}
	p.current = s
	cost.Objects += ops
	cost.Bytes += p.enc.sent() - sent
	// A full batch is committed while others are written: what that took is no
	// encoding. Reading the clock is a system call in the guest, so each time is
	// read once.
	between := p.enc.committing()
	cost.Commit += between + time.Since(encoded)
	cost.Encode += encoded.Sub(planned) - between
	return cost, nil
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
		dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: deviceName(i)}}
		if err := netlink.LinkAdd(dummy); err != nil {
			return modes.Cost{}, fmt.Errorf("add device %s: %w", deviceName(i), err)
		}
		if p.Bind != BindRoute {
			continue
		}
		// Routes need a device that is up; addresses do not.
		if err := netlink.LinkSetUp(dummy); err != nil {
			return modes.Cost{}, fmt.Errorf("set device %s up: %w", deviceName(i), err)
		}
	}
	var err error
	if p.enc, err = NewWriter(); err != nil {
		return modes.Cost{}, err
	}
	p.enc.bind, p.enc.scheduler = p.Bind, p.Scheduler
	if err := p.setSysctls(); err != nil {
		return modes.Cost{}, err
	}
	if err := CreateSets(s); err != nil {
		return modes.Cost{}, err
	}
	return p.restorer.Commit(ctx, Rules(s.ClusterCIDR))
}

// hasExternal tells whether any Service is reached from outside.
func hasExternal(s modes.Snapshot) bool {
	return slices.ContainsFunc(s.Services, (*modes.Service).External)
}

// setUpExternal makes the sets and rules for Services that are reached from
// outside; without such a Service packets need not be looked up there.
func (p *Proxier) setUpExternal(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	for _, set := range externalSets() {
		options := netlink.IpsetCreateOptions{}
		if setType(set) == "bitmap:port" {
			options.PortTo = 65535
		}
		if err := netlink.IpsetCreate(set, setType(set), options); err != nil {
			return modes.Cost{}, fmt.Errorf("create ipset %s: %w", set, err)
		}
	}
	p.external = true
	links, err := netlink.LinkList()
	if err != nil {
		return modes.Cost{}, fmt.Errorf("list the node's devices: %w", err)
	}
	for _, l := range links {
		if l.Attrs().Name == "lo" || strings.HasPrefix(l.Attrs().Name, Device[:len(Device)-1]) {
			continue
		}
		addrs, err := netlink.AddrList(l, unix.AF_INET)
		if err != nil {
			return modes.Cost{}, fmt.Errorf("list addresses of %s: %w", l.Attrs().Name, err)
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
				p.nodes = append(p.nodes, ip)
			}
		}
	}
	return p.restorer.Commit(ctx, p.rules(s))
}

// rules are the constant rules for a Snapshot.
func (p *Proxier) rules(s modes.Snapshot) rules.Ruleset {
	if p.external {
		return externalRules(Rules(s.ClusterCIDR))
	}
	return Rules(s.ClusterCIDR)
}

// CreateSets makes the ipsets that a Snapshot needs. kube-proxy gives them 65536 entries at most; a
// larger Snapshot gets the room that it needs and as much again for changes.
func CreateSets(s modes.Snapshot) error {
	ports, endpoints := 0, 0
	for _, svc := range s.Services {
		ports += len(svc.Ports)
		endpoints += len(svc.Ports) * len(svc.Endpoints)
	}
	for _, set := range []struct {
		name, typ string
		need      int
	}{{ClusterIPSet, "hash:ip,port", ports}, {LoopBackSet, "hash:ip,port,ip", endpoints}} {
		room := uint32(65536)
		for int(room) < 2*set.need {
			room *= 2
		}
		if err := netlink.IpsetCreate(set.name, set.typ, netlink.IpsetCreateOptions{MaxElements: room}); err != nil {
			return fmt.Errorf("create ipset %s: %w", set.name, err)
		}
	}
	return nil
}

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
	there, err := h.GetServices()
	if err != nil {
		return modes.Cost{}, fmt.Errorf("list virtual servers: %w", err)
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
	services, err := h.GetServices()
	if err != nil {
		return "", fmt.Errorf("list virtual servers: %w", err)
	}
	var b strings.Builder
	for _, s := range services {
		flag := "t"
		if s.Protocol == unix.IPPROTO_UDP {
			flag = "u"
		}
		fmt.Fprintf(&b, "-A -%s %s:%d -s %s\n", flag, s.Address, s.Port, s.SchedName)
		dests, err := h.GetDestinations(s)
		if err != nil {
			return "", fmt.Errorf("list real servers of %s:%d: %w", s.Address, s.Port, err)
		}
		for _, d := range dests {
			fmt.Fprintf(&b, "-a -%s %s:%d -r %s:%d -m -w %d\n", flag, s.Address, s.Port, d.Address, d.Port, d.Weight)
		}
	}
	out, err := p.restorer.Dump(ctx)
	return b.String() + out, err
}

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	if p.enc == nil {
		return nil
	}
	errs := []error{p.restorer.Clear(), flushServers()}
	sets := []string{ClusterIPSet, LoopBackSet}
	if p.external {
		sets = append(sets, externalSets()...)
	}
	for _, set := range sets {
		if err := netlink.IpsetDestroy(set); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("destroy ipset %s: %w", set, err))
		}
	}
	for i := 0; ; i++ {
		link, err := netlink.LinkByName(deviceName(i))
		if err != nil {
			break
		}
		errs = append(errs, netlink.LinkDel(link))
	}
	errs = append(errs, p.enc.Close())
	errs = append(errs, p.restoreSysctls())
	p.enc, p.current, p.external, p.nodes = nil, modes.Snapshot{}, false, nil
	return errors.Join(errs...)
}

func flushServers() error {
	h, err := mobyipvs.New("")
	if err != nil {
		return fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	if err := h.Flush(); err != nil {
		return fmt.Errorf("flush virtual servers: %w", err)
	}
	return nil
}
