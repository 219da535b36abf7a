package ebpf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/ebpf/cgroup"
	"viplab/modes/packet/node"
)

// Proxier is the mode's [modes.Proxier], of one address family.
type Proxier struct {
	options Options
	planner Planner
	kernel  *kernel
	links   map[uint32]netip.Addr // as the maps have them
	places  map[netip.Addr]bool   // as the maps have them
	hooks   []hook
	group   *cgroup.Group
	// attached is the links where the programs run, nil unless they run everywhere that
	// they are to.
	attached map[uint32]netip.Addr
	// broken is set while the maps may hold something else than was planned.
	broken bool
}

// New makes a Proxier. It touches nothing yet; wrong options are an error of Probe and of
// the first Sync.
func New(o Options) *Proxier {
	if o.Family == "" {
		o.Family = modes.IPv4
	}
	if o.Attach == "" {
		o.Attach = Both
	}
	return &Proxier{options: o, planner: o.planner()}
}

// Probe implements [modes.Proxier]: it loads all programs, attaches them to loopback,
// where no packet is for a Service without entries, and removes them.
func (p *Proxier) Probe(context.Context) error {
	if err := p.options.Validate(); err != nil {
		return err
	}
	k, err := load(p.options, 0, [kinds]int{}, nil)
	if err != nil {
		return err
	}
	defer k.close()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find a link to attach to: %w", err)
	}
	trial := Proxier{options: p.options, kernel: k, links: map[uint32]netip.Addr{uint32(lo.Attrs().Index): {}}}
	err = trial.attach()
	return errors.Join(err, trial.detach())
}

// Sync implements [modes.Proxier].
func (p *Proxier) Sync(_ context.Context, s modes.Snapshot) (cost modes.Cost, err error) {
	start := clock.Now()
	if err := p.options.Validate(); err != nil {
		return cost, err
	}
	before := p.planner.scope
	var change Change
	if p.kernel == nil {
		err = p.planner.Begin(s)
	} else {
		change, err = p.planner.Plan(s)
	}
	if err != nil {
		return cost, err
	}
	cost.Plan = clock.Since(start)
	wasBroken := p.broken
	p.broken = true
	switch {
	case p.kernel == nil:
		err = p.begin(&cost)
	case wasBroken || p.attached == nil || !p.kernel.holds(p.planner.held, &change):
		err = p.move(&cost)
	default:
		err = p.update(&cost, &change, before)
	}
	p.broken = err != nil
	return cost, err
}

// update makes a change of what is there.
func (p *Proxier) update(cost *modes.Cost, c *Change, before scope) error {
	if before != p.planner.scope {
		cost.Objects++
		if err := storeOf(p.options.Family).configure(p.kernel.coll.Maps, p.planner.scope); err != nil {
			return err
		}
	}
	if err := p.describe(p.kernel); err != nil {
		return err
	}
	applied, err := p.kernel.apply(c)
	cost.Add(applied)
	return err
}

// begin loads the programs with maps of the right size, and attaches them once the maps
// are full.
func (p *Proxier) begin(cost *modes.Cost) error {
	start := clock.Now()
	cookie, err := netnsCookie()
	if err != nil {
		return err
	}
	p.kernel, err = load(p.options, cookie, p.planner.held, nil)
	cost.Start += clock.Since(start)
	if err == nil {
		err = p.fill(p.kernel, cost)
	}
	if err != nil {
		return err
	}
	start = clock.Now()
	err = p.attach()
	cost.Start += clock.Since(start)
	return err
}

// fill writes all that was planned.
func (p *Proxier) fill(k *kernel, cost *modes.Cost) error {
	start, written := clock.Now(), modes.Cost{Objects: 1}
	err := p.planner.All(func(c *Change) error {
		applied, err := k.apply(c)
		written.Add(applied)
		return err
	})
	written.Plan = clock.Since(start) - written.Encode - written.Commit
	cost.Add(written)
	if err == nil {
		err = storeOf(p.options.Family).configure(k.coll.Maps, p.planner.scope)
	}
	if err == nil {
		p.places = nil
		err = p.describe(k)
	}
	return err
}

// describe tells the programs of the node's addresses, if they know others, and then of
// the links.
func (p *Proxier) describe(k *kernel) error {
	family := p.options.Family
	own := p.planner.last.Node.Addrs
	if len(own) == 0 {
		var err error
		if own, err = node.Addresses(family); err != nil {
			return err
		}
	}
	now := places(own, family, p.planner.last.Node, p.planner.scope)
	if p.places != nil && maps.Equal(now, p.places) {
		return nil
	}
	links, err := linksOf(family)
	if err != nil {
		return err
	}
	p.places, p.links = nil, links // until both maps are written
	if err := storeOf(family).describe(k.coll.Maps, now, links); err != nil {
		return err
	}
	p.places = now
	return nil
}

// attach makes the hooks, on the links that the maps have.
func (p *Proxier) attach() (err error) {
	defer func() {
		if err == nil {
			p.attached = p.links
		}
	}()
	coll := p.kernel.coll
	if p.options.Attach.tc() {
		hooks, err := atLinks(coll, p.links, p.options.Family)
		p.hooks = append(p.hooks, hooks...)
		if err != nil {
			return err
		}
	}
	if !p.options.Attach.socket() {
		return nil
	}
	if p.group, err = cgroup.Join(); err != nil {
		return &modes.MissingError{Need: "control groups v2", Mend: "run as root on a kernel with CONFIG_CGROUP_BPF, or use --attach tc", Err: err}
	}
	hooks, err := atSockets(coll, p.group.Path, p.options.Family)
	p.hooks = append(p.hooks, hooks...)
	return err
}

// move fills other maps with all that was planned, and then gives each hook the programs
// that use them. Flows go on in the map that they are in.
func (p *Proxier) move(cost *modes.Cost) error {
	start := clock.Now()
	cookie, err := netnsCookie()
	if err != nil {
		return err
	}
	next, err := load(p.options, cookie, p.planner.held, p.kernel)
	cost.Start += clock.Since(start)
	if err == nil {
		err = p.fill(next, cost)
	}
	if err != nil {
		next.close()
		return fmt.Errorf("move to other maps: %w", err)
	}
	start = clock.Now()
	err = p.adopt(next)
	cost.Commit += clock.Since(start)
	if err != nil {
		return fmt.Errorf("move to other maps: %w", err)
	}
	return nil
}

// adopt lets the hooks run other programs: in place, or attached anew where somebody has
// taken one away, links are others than before, or some hooks were never made. Where that
// fails too, the other programs are the Proxier's all the same: no hook is left that runs
// the former ones, and the next attempt goes on from these.
func (p *Proxier) adopt(next *kernel) error {
	before := p.kernel
	p.kernel = next
	defer before.close()
	if p.attached != nil && maps.Equal(p.links, p.attached) {
		var err error
		for _, h := range p.hooks {
			if h.update != nil && err == nil {
				err = h.update(next.coll.Programs[h.program])
			}
		}
		if err == nil {
			return nil
		}
	}
	_ = p.detach() // what is no longer there cannot be removed
	return p.attach()
}

// Refresh implements [modes.Refresher]: everything is written into new maps, which take
// the place of the others, and what was detached is attached again.
func (p *Proxier) Refresh(context.Context) (modes.Cost, error) {
	var cost modes.Cost
	if p.kernel == nil {
		return cost, nil
	}
	err := p.move(&cost)
	p.broken = p.broken && err != nil
	return cost, err
}

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	err := p.detach()
	p.kernel.close()
	*p = *New(p.options)
	return err
}

func (p *Proxier) detach() error {
	err := closeAll(p.hooks)
	p.hooks, p.attached = nil, nil
	err = errors.Join(err, p.group.Close())
	p.group = nil
	return err
}

// netnsCookie is the kernel's number of the network namespace that the calling thread is
// in; programs at sockets tell the node's by it.
func netnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		var cookie uint64
		if cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
			return cookie, nil
		}
	}
	return 0, explain("learn the cookie of the network namespace", err)
}
