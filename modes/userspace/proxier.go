package userspace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/iptables"
	"viplab/modes/packet/conntrack"
	"viplab/modes/packet/node"
	"viplab/modes/userspace/proxy"
)

// Listening ports, handed out from FirstPort on. Up to the first limit they stay out of the range from which
// the kernel takes local ports for outgoing connections; a larger number of
// Service ports moves that range up.
const (
	FirstPort    = 2000
	lastPort     = 32767
	lastPortMany = 60999
	// movedRange keeps 4535 local ports for the proxy's own connections, to
	// each endpoint.
	movedRange = "61000 65535"
	rangePath  = "/proc/sys/net/ipv4/ip_local_port_range"
)

// MaxPorts is how many Service ports the mode can serve: one TCP or UDP port
// of the node for each.
const MaxPorts = lastPortMany - FirstPort + 1

// Proxier is the mode's [modes.Proxier].
type Proxier struct {
	// Command starts the proxy process: it must call [proxy.Run] on its
	// standard input and output.
	Command []string

	family   modes.Family
	restorer iptables.Restorer
	child    *child
	host     netip.Addr
	current  modes.Snapshot // that the process serves
	due      bool           // the rules are to be written
	synced   modes.Snapshot // the last without an error
	portals  map[portKey]*portalState
	nextID   uint32
	oldRange string
}

type portKey struct {
	service, name string
	proto         modes.Protocol
	port          uint16
}

type portalState struct {
	id   uint32
	port uint16
}

// New makes a Proxier of one address family. It starts nothing yet.
func New(command []string, family modes.Family) *Proxier {
	return &Proxier{Command: command, family: family, restorer: iptables.Restorer{Family: family}}
}

// Probe implements [modes.Proxier].
func (p *Proxier) Probe(ctx context.Context) error { return p.restorer.Probe(ctx) }

// ProcessIDs implements [modes.ProcessReporter].
func (p *Proxier) ProcessIDs() []int {
	if p.child == nil {
		return nil
	}
	return []int{p.child.cmd.Process.Pid}
}

// Sync implements [modes.Proxier]. A proxy process that fails is given up; the next Sync
// starts another one with all there is.
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (cost modes.Cost, err error) {
	start := clock.Now()
	if n := s.Ports(); n > MaxPorts {
		return cost, fmt.Errorf("userspace serves at most %d service ports, one node port each; asked for %d", MaxPorts, n)
	}
	if s, err = node.Located(s, p.family); err != nil {
		return cost, err
	}
	if err := p.start(s); err != nil {
		return cost, err
	}
	changes := modes.Diff(p.current, s)
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		if err := Limits().Check("userspace", c.New); err != nil {
			return cost, err
		}
	}
	update, opened, moved := p.plan(s, changes)
	p.due = p.due || moved || !p.current.Node.Equal(s.Node)
	cost.Plan = clock.Since(start)
	commit := clock.Now()
	reply, err := p.child.update(update)
	if err != nil {
		p.giveUp()
		return cost, err
	}
	for i, st := range opened {
		st.port = reply.Opened[i]
	}
	cost.Objects = len(update.Set) + len(update.Delete)
	cost.Commit = clock.Since(commit)
	p.current = s
	if err := p.commitRules(ctx, &cost); err != nil {
		return cost, err
	}
	return cost, p.cleanUp(changes, &cost)
}

// commitRules writes the portal rules of the current Snapshot, if they are due.
func (p *Proxier) commitRules(ctx context.Context, cost *modes.Cost) error {
	if !p.due {
		return nil
	}
	planning := clock.Now()
	next := Rules(p.current, p.host, func(svc *modes.Service, sp modes.ServicePort) uint16 { return p.portals[key(svc, sp)].port })
	cost.Plan += clock.Since(planning)
	c, err := p.restorer.Commit(ctx, next)
	cost.Add(c)
	p.due = err != nil
	return err
}

// cleanUp deletes conntrack entries that lead to no port of the proxy's, or to another's.
func (p *Proxier) cleanUp(changes []modes.Change, cost *modes.Cost) error {
	start := clock.Now()
	if missed := modes.Diff(p.synced, p.current); !slices.Equal(missed, changes) {
		changes = append(missed, changes...) // an earlier Sync has ended in an error
	}
	n, err := conntrack.CleanUp(changes, func(svc *modes.Service, sp modes.ServicePort, to netip.AddrPort) bool {
		st := p.portals[key(svc, sp)]
		return st != nil && st.port == to.Port() && to.Addr() != svc.ClusterIP
	})
	cost.Objects += n
	cost.CleanUp += clock.Since(start)
	if err == nil {
		p.synced = p.current
	}
	return err
}

// giveUp ends a proxy process that failed.
func (p *Proxier) giveUp() {
	_ = p.child.stop() // how it ended was said already
	p.child, p.current, p.due = nil, modes.Snapshot{}, true
}

func key(svc *modes.Service, sp modes.ServicePort) portKey {
	return portKey{svc.Key(), sp.Name, sp.Protocol, sp.Port}
}

// plan works out what the proxy must change. opened are the portals that have
// no port yet, in the order of the update; moved says whether rules change.
func (p *Proxier) plan(s modes.Snapshot, changes []modes.Change) (u proxy.Update, opened []*portalState, moved bool) {
	u.Ports = [2]uint16{FirstPort, lastPort}
	if s.Ports() > lastPort-FirstPort {
		u.Ports[1] = lastPortMany
	}
	for _, c := range changes {
		gone := map[portKey]bool{}
		if c.Old != nil {
			for _, sp := range c.Old.Ports {
				gone[key(c.Old, sp)] = true
			}
		}
		if c.New != nil {
			moved = moved || c.Old != nil && (c.Old.ClusterIP != c.New.ClusterIP || c.Old.External() || c.New.External())
			for _, sp := range c.New.Ports {
				k := key(c.New, sp)
				delete(gone, k)
				st := p.portals[k]
				if st == nil {
					p.nextID++
					st = &portalState{id: p.nextID}
					p.portals[k] = st
					opened = append(opened, st)
				}
				u.Set = append(u.Set, portal(st.id, c.New, sp))
			}
		}
		for k := range gone {
			u.Delete = append(u.Delete, p.portals[k].id)
			delete(p.portals, k)
		}
	}
	return u, opened, moved || len(opened)+len(u.Delete) > 0
}

func portal(id uint32, svc *modes.Service, sp modes.ServicePort) proxy.Portal {
	return proxy.Portal{ID: id, UDP: sp.Protocol == modes.UDP, Family: svc.Family(), Affinity: svc.Affinity, Endpoints: serving(svc, sp)}
}

// serving is where the endpoints listen that serve a port.
func serving(svc *modes.Service, sp modes.ServicePort) []netip.AddrPort {
	reach := svc.Reach(sp).Cluster
	out := make([]netip.AddrPort, len(reach))
	for i, ep := range reach {
		out[i] = ep.At(sp)
	}
	return out
}

// start brings up the proxy process at the first Sync.
func (p *Proxier) start(s modes.Snapshot) error {
	if p.child != nil {
		return nil
	}
	host, err := hostAddress(p.family)
	if err != nil {
		return err
	}
	p.host, p.portals = host, make(map[portKey]*portalState, s.Ports())
	if s.Ports() > lastPort-FirstPort && p.oldRange == "" {
		before, err := os.ReadFile(rangePath)
		if err != nil {
			return fmt.Errorf("read the local port range: %w", err)
		}
		if err := os.WriteFile(rangePath, []byte(movedRange), 0); err != nil {
			return fmt.Errorf("move the local port range for %d portals: %w", s.Ports(), err)
		}
		p.oldRange = strings.TrimSpace(string(before))
	}
	p.child, err = startChild(p.Command)
	p.due = true
	return err
}

// hostAddress is the node's first address of a family that others can reach.
func hostAddress(f modes.Family) (netip.Addr, error) {
	addrs, err := netlink.AddrList(nil, f.Domain())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			return ip.Unmap(), nil
		}
	}
	return netip.Addr{}, errors.New("the node has no address beside loopback for the proxy to listen on")
}

// Refresh implements [modes.Refresher]: it writes the portal rules again, and starts
// another process if that of the proxy does not answer.
func (p *Proxier) Refresh(ctx context.Context) (cost modes.Cost, err error) {
	if p.child != nil {
		if _, err := p.child.exchange(proxy.Update{}); err != nil {
			served := p.current
			p.giveUp()
			if cost, err = p.Sync(ctx, served); err != nil {
				return cost, err
			}
		}
	}
	c, err := p.restorer.Refresh(ctx)
	cost.Add(c)
	return cost, err
}

// Dump implements [modes.Proxier].
func (p *Proxier) Dump(ctx context.Context) (string, error) { return p.restorer.Dump(ctx) }

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	var errs []error
	errs = append(errs, p.restorer.Clear())
	if p.child != nil {
		errs = append(errs, p.child.stop())
		p.child = nil
	}
	if p.oldRange != "" {
		errs = append(errs, os.WriteFile(rangePath, []byte(p.oldRange), 0))
		p.oldRange = ""
	}
	p.current, p.synced, p.due, p.nextID = modes.Snapshot{}, modes.Snapshot{}, false, 0
	return errors.Join(errs...)
}

// Leave implements [modes.Leaver]: it ends the proxy's process.
func (p *Proxier) Leave() error {
	if p.child == nil {
		return nil
	}
	defer func() { p.child = nil }()
	return p.child.stop()
}
