package ebpf

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"viplab/modes"
)

// maxEndpoints is how many the 16 bits of a front's count can tell.
const maxEndpoints = math.MaxUint16

// Change is what must be done to the maps, by kind.
type Change struct {
	Put, Delete [kinds][]Entry
	// New is how many of Put are not there yet.
	New [kinds]int
}

// Empty tells whether there is nothing to do.
func (c *Change) Empty() bool {
	for k := range kinds {
		if len(c.Put[k])+len(c.Delete[k]) > 0 {
			return false
		}
	}
	return true
}

func (c *Change) put(e Entry, isNew bool) {
	c.Put[e.Kind] = append(c.Put[e.Kind], e)
	if isNew {
		c.New[e.Kind]++
	}
}

// inherit keeps a front from being deleted for one Service that another one takes over in
// the same change.
func (c *Change) inherit(k Kind) {
	if len(c.Put[k]) == 0 || len(c.Delete[k]) == 0 {
		return
	}
	put := make(map[Front]bool, len(c.Put[k]))
	for _, e := range c.Put[k] {
		put[e.Front] = true
	}
	before := len(c.Delete[k])
	c.Delete[k] = slices.DeleteFunc(c.Delete[k], func(e Entry) bool { return put[e.Front] })
	c.New[k] -= before - len(c.Delete[k])
}

// Planner turns Snapshots into changes of the maps. It remembers the last Snapshot and the
// ids that it gave, and nothing of what the maps hold, which follows from those.
type Planner struct {
	// Family is that of the Services, IPv4 if empty.
	Family modes.Family
	// Table is the size of Maglev's tables, 0 for random choice.
	Table int
	// Limits are what a Service must not ask for.
	Limits modes.Limits

	last  modes.Snapshot
	scope scope
	ids   map[string]identity // by key of the Service
	next  uint32
	held  [kinds]int
}

// Plan works out what differs between the last Snapshot and the next one, of one address
// family.
func (p *Planner) Plan(s modes.Snapshot) (Change, error) {
	for _, one := range modes.Diff(p.last, s) {
		if err := p.check(one.New); err != nil {
			return Change{}, err
		}
	}
	return p.plan(s), nil
}

// plan is Plan without a look at what the maps cannot hold.
func (p *Planner) plan(s modes.Snapshot) (c Change) {
	if p.ids == nil {
		p.ids = make(map[string]identity, len(s.Services))
	}
	next := scopeOf(s, p.Family)
	for _, one := range p.differ(s, next) {
		p.service(&c, one, next)
	}
	c.inherit(Slots)
	c.inherit(Ports)
	for k := range kinds {
		p.held[k] += c.New[k] - len(c.Delete[k])
	}
	p.last, p.scope = s, next
	return c
}

// differ lists the Services whose entries may differ: all of them if what they depend on
// does.
func (p *Planner) differ(s modes.Snapshot, next scope) []modes.Change {
	out := modes.Diff(p.last, s)
	if next.masqueradeAll == p.scope.masqueradeAll {
		return out
	}
	seen := make(map[*modes.Service]bool, len(out))
	for _, one := range out {
		seen[one.New] = true
	}
	for _, svc := range s.Services {
		if !seen[svc] {
			out = append(out, modes.Change{Old: svc, New: svc})
		}
	}
	return out
}

func (p *Planner) check(svc *modes.Service) error {
	if svc == nil {
		return nil
	}
	if err := p.Limits.Check(Name, svc); err != nil {
		return err
	}
	if i := slices.IndexFunc(addresses(svc), func(a netip.Addr) bool { return modes.FamilyOf(a) != p.family() }); i >= 0 {
		return fmt.Errorf("service %s: %s is not of the maps' family, %s", svc.Key(), addresses(svc)[i], p.family())
	}
	most := maxEndpoints
	if p.Table > 0 {
		most = p.Table
	}
	if len(svc.Endpoints) > most {
		return fmt.Errorf("service %s has %d endpoints: the maps are laid out for at most %d", svc.Key(), len(svc.Endpoints), most)
	}
	return nil
}

func (p *Planner) family() modes.Family {
	if p.Family == "" {
		return modes.IPv4
	}
	return p.Family
}

// addresses are all that a Service has, its endpoints' too.
func addresses(svc *modes.Service) []netip.Addr {
	out := append([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs...)
	out = append(out, svc.LoadBalancerIPs...)
	for _, ep := range svc.Endpoints {
		out = append(out, ep.Addr)
	}
	return out
}

// service adds what one changed Service takes.
func (p *Planner) service(c *Change, one modes.Change, next scope) {
	old := map[Key]Entry{}
	var before identity
	if one.Old != nil {
		before = p.ids[one.Old.Key()]
		delete(p.ids, one.Old.Key())
		for _, e := range imageOf(one.Old, before, p.Table, p.scope) {
			old[e.Key] = e
		}
	}
	if one.New != nil {
		ids := p.identify(one.New, one.Old, before)
		p.ids[one.New.Key()] = ids
		for _, e := range imageOf(one.New, ids, p.Table, next) {
			had, there := old[e.Key]
			delete(old, e.Key)
			if !there || !had.equal(e) {
				c.put(e, !there)
			}
		}
	}
	if one.Old == nil || len(old) == 0 {
		return
	}
	// In the order of the image, which is the same each time.
	for _, e := range imageOf(one.Old, before, p.Table, p.scope) {
		if _, gone := old[e.Key]; gone {
			c.Delete[e.Kind] = append(c.Delete[e.Kind], e)
		}
	}
}

// identify gives a Service its ids: those that its ports and endpoints had, and new ones.
func (p *Planner) identify(svc, old *modes.Service, before identity) identity {
	n := len(svc.Endpoints)
	ids := identity{make([]uint32, len(svc.Ports)), make([][]uint32, len(svc.Ports))}
	all := make([]uint32, len(svc.Ports)*n)
	for i, port := range svc.Ports {
		ids.backends[i] = all[i*n : (i+1)*n : (i+1)*n]
		j := portIndex(old, port)
		if j < 0 {
			ids.ports[i] = p.fresh(2)
		} else {
			ids.ports[i] = before.ports[j]
		}
		for k, ep := range svc.Endpoints {
			if at := endpointIndex(old, j, k, ep.At(port)); at >= 0 {
				ids.backends[i][k] = before.backends[j][at]
			} else {
				ids.backends[i][k] = p.fresh(1)
			}
		}
	}
	return ids
}

// portIndex is the place of a port that leads to the same port of the endpoints, or -1.
func portIndex(svc *modes.Service, port modes.ServicePort) int {
	if svc == nil {
		return -1
	}
	for i, p := range svc.Ports {
		if p.Protocol == port.Protocol && p.Port == port.Port && p.TargetPort == port.TargetPort {
			return i
		}
	}
	return -1
}

// endpointIndex is the place of an endpoint in a Service that had it at a port, or -1. It
// is mostly where it was.
func endpointIndex(svc *modes.Service, port, likely int, at netip.AddrPort) int {
	if port < 0 {
		return -1
	}
	there := func(ep modes.Endpoint) bool { return ep.At(svc.Ports[port]) == at }
	if likely < len(svc.Endpoints) && there(svc.Endpoints[likely]) {
		return likely
	}
	return slices.IndexFunc(svc.Endpoints, there)
}

func (p *Planner) fresh(n uint32) uint32 {
	id := p.next + 1
	p.next += n
	return id
}

// All is every entry that the maps must hold after the last Plan.
func (p *Planner) All() Change {
	var c Change
	for _, svc := range p.last.Services {
		for _, e := range imageOf(svc, p.ids[svc.Key()], p.Table, p.scope) {
			c.put(e, true)
		}
	}
	return c
}
