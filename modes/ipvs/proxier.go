package ipvs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/iptables"
	"viplab/modes/packet/conntrack"
)

// Proxier is the mode's [modes.Proxier].
type Proxier struct {
	options  Options
	restorer iptables.Restorer
	sysctls  []sysctl
	devices  int // how many dummy devices there are to be, 0 before the first Sync

	// enc is nil until all is there that does not depend on single Services.
	enc     *Writer
	objects *account
	// certain is whether objects is what the kernel holds, for all that the Proxier did.
	certain  bool
	current  modes.Snapshot // of the last Sync without an error
	node     node           // for which current was programmed
	external bool           // sets and rules for external addresses are there
	cleaner  conntrack.Cleaner
}

// New makes a Proxier. It touches nothing yet.
func New(o Options) *Proxier {
	return &Proxier{options: o, restorer: iptables.Restorer{Family: o.Family}, objects: newAccount()}
}

// Probe implements [modes.Proxier]: IPVS, ipset, the dummy device and iptables
// must all be there.
func (p *Proxier) Probe(ctx context.Context) error {
	if err := p.restorer.Probe(ctx); err != nil {
		return err
	}
	if err := probeIPVS(); err != nil {
		return &modes.MissingError{Need: "IPVS (ip_vs) in this kernel", Mend: "sudo modprobe ip_vs, or a kernel with it", Err: err}
	}
	probe := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "viplab-probe"}}
	if err := netlink.LinkAdd(probe); err != nil {
		return &modes.MissingError{Need: "the dummy network device in this kernel", Mend: "sudo modprobe dummy, or a kernel with it", Err: err}
	}
	if err := netlink.LinkDel(probe); err != nil {
		return fmt.Errorf("delete probe device: %w", err)
	}
	const set = "VIPLAB-PROBE"
	if err := netlink.IpsetCreate(set, hashIPPort, netlink.IpsetCreateOptions{}); err != nil {
		return &modes.MissingError{Need: "ipset in this kernel", Mend: "sudo modprobe ip_set_hash_ipport, or a kernel with it", Err: explain(err)}
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

// Sync implements [modes.Proxier]. What it finds otherwise than it left it, or an error
// before, has it read back all that the kernel holds and put right what differs; see
// [Proxier.Refresh].
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (cost modes.Cost, err error) {
	start := clock.Now()
	changes := modes.Diff(p.current, s)
	if err := p.options.check(changes); err != nil {
		return cost, err
	}
	cost.Plan = clock.Since(start)
	if p.enc != nil && p.certain {
		err := p.change(ctx, s, changes, &cost)
		var refused *opError
		if err == nil || !errors.As(err, &refused) {
			return cost, err
		}
	}
	return cost, p.resync(ctx, s, changes, &cost)
}

// change programs what differs from the last Snapshot.
func (p *Proxier) change(ctx context.Context, s modes.Snapshot, changes []modes.Change, cost *modes.Cost) error {
	start := clock.Now()
	// Looking at what changed is enough, and does not grow with the Services.
	outside := p.external || slices.ContainsFunc(changes, func(c modes.Change) bool { return c.New != nil && c.New.External() })
	n := p.node
	if outside {
		var err error
		if n, err = p.options.locate(s.Node, p.bound); err != nil {
			return err
		}
		if err := n.clash(s); err != nil && len(changes) > 0 {
			return err
		}
	}
	if outside != p.external {
		if err := p.options.createSets(outside); err != nil {
			return err
		}
	}
	touched := changes
	if !n.equal(p.node) {
		touched = withExternal(changes, s)
	}
	cost.Plan += clock.Since(start)
	if p.ruled(s, n, outside, changes) {
		c, err := p.restorer.Commit(ctx, p.options.rules(s, n, outside))
		cost.Add(c)
		if err != nil {
			return err
		}
	}
	if err := p.program(ctx, p.objects.turn(touched, p.node.needs, n.needs), cost); err != nil {
		return err
	}
	p.current, p.node, p.external = s, n, outside
	return p.cleaner.After(changes, s, cost)
}

// ruled tells whether the iptables rules may have to change.
func (p *Proxier) ruled(s modes.Snapshot, n node, outside bool, changes []modes.Change) bool {
	shuts := func(c modes.Change) bool { return restricted(c.Old) || restricted(c.New) }
	return p.current.ClusterCIDR != s.ClusterCIDR || p.current.Node.MasqueradeAll != s.Node.MasqueradeAll || outside != p.external || n.main != p.node.main ||
		p.options.byRules() && len(changes) > 0 || slices.ContainsFunc(changes, shuts)
}

// withExternal adds to changes all Services that are reached from outside: what they need
// changes with the node's addresses.
func withExternal(changes []modes.Change, s modes.Snapshot) []modes.Change {
	changed := map[*modes.Service]bool{}
	for _, c := range changes {
		changed[c.New] = true
	}
	out := slices.Clip(changes)
	for _, svc := range s.Services {
		if svc.External() && !changed[svc] {
			out = append(out, modes.Change{Old: svc, New: svc})
		}
	}
	return out
}

// bound tells whether the Proxier may have bound an address.
func (p *Proxier) bound(a netip.Addr) bool {
	_, there := p.objects.held[Op{Kind: AddAddress, VIP: netip.AddrPortFrom(a, 0)}.key()]
	return there
}

// opsPerCheck is how many operations are carried out before the context is
// looked at again.
const opsPerCheck = 1024

// program carries operations out over netlink.
func (p *Proxier) program(ctx context.Context, list iter.Seq[Op], cost *modes.Cost) (err error) {
	p.certain = false
	start := clock.Now()
	sent, ops := p.enc.sent(), 0
	for o := range list {
		if o.Set != NoSet && p.options.byRules() {
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
	encoded := clock.Now()
	if err == nil {
		err = p.enc.Flush()
	}
	cost.Objects += ops
	cost.Bytes += p.enc.sent() - sent
	// A full batch is committed while others are written: what that took is no
	// encoding.
	between := p.enc.committing()
	cost.Commit += between + clock.Since(encoded)
	cost.Encode += encoded.Sub(start) - between
	p.certain = err == nil
	return err
}

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	if p.devices == 0 {
		return nil
	}
	errs := []error{p.restorer.Clear(), p.flushServers()}
	if p.options.Bind == BindAlias && p.enc != nil {
		errs = append(errs, p.unbind())
	}
	errs = append(errs, p.options.destroySets()...)
	errs = append(errs, p.options.deleteDevices()...)
	if p.enc != nil {
		errs = append(errs, p.enc.Close())
	}
	errs = append(errs, p.restoreSysctls())
	*p = Proxier{options: p.options, restorer: iptables.Restorer{Family: p.options.Family}, objects: newAccount()}
	return errors.Join(errs...)
}

// Leave implements [modes.Leaver]: sysctls, too, are the namespace's.
func (p *Proxier) Leave() error {
	if p.enc == nil {
		return nil
	}
	return p.enc.Close()
}

// unbind takes addresses away that do not go with a device, unless they are gone.
func (p *Proxier) unbind() error {
	for k := range p.objects.held {
		if k.kind != AddAddress {
			continue
		}
		o := k.op()
		o.Kind = DelAddress
		err := p.enc.Do(o)
		if err == nil {
			err = p.enc.Flush()
		}
		if err != nil && !isGone(err) {
			return err
		}
	}
	return nil
}
