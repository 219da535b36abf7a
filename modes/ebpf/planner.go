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
	changed := modes.Diff(p.last, s)
	for _, one := range changed {
		if err := p.check(one.New); err != nil {
			return Change{}, err
		}
	}
	var c Change
	next := scopeOf(s, p.Family)
	for _, one := range p.differ(changed, s, next) {
		p.service(&c, one, next)
	}
	c.inherit(Slots)
	c.inherit(Ports)
	for k := range kinds {
		p.held[k] += c.New[k] - len(c.Delete[k])
	}
	p.last, p.scope = s, next
	return c, nil
}

// Begin works out what maps that hold nothing are to hold for a Snapshot, which
// [Planner.All] then gives.
func (p *Planner) Begin(s modes.Snapshot) error {
	for _, svc := range s.Services {
		if err := p.check(svc); err != nil {
			return err
		}
	}
	p.begin(s)
	return nil
}

// begin is Begin without a look at what the maps cannot hold.
func (p *Planner) begin(s modes.Snapshot) {
	p.last, p.scope, p.held = s, scopeOf(s, p.Family), [kinds]int{}
	p.ids = make(map[string]identity, len(s.Services))
	var list []Entry
	for _, svc := range s.Services {
		ids := p.identify(svc, nil, identity{})
		p.ids[svc.Key()] = ids
		list = imageOf(list[:0], svc, ids, p.Table, p.scope)
		for _, e := range list {
			p.held[e.Kind]++
		}
	}
}

// differ lists the Services whose entries may differ: those that changed, or all of them if
// what they depend on does.
func (p *Planner) differ(changed []modes.Change, s modes.Snapshot, next scope) []modes.Change {
	if next.masqueradeAll == p.scope.masqueradeAll {
		return changed
	}
	seen := make(map[*modes.Service]bool, len(changed))
	for _, one := range changed {
		seen[one.New] = true
	}
	for _, svc := range s.Services {
		if !seen[svc] {
			changed = append(changed, modes.Change{Old: svc, New: svc})
		}
	}
	return changed
}

func (p *Planner) check(svc *modes.Service) error {
	if svc == nil {
		return nil
	}
	if err := p.Limits.Check(Name, svc); err != nil {
		return err
	}
	if a := p.stranger(svc); a.IsValid() {
		return fmt.Errorf("service %s: %s is not of the maps' family, %s", svc.Key(), a, p.family())
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

// stranger is an address of the Service, or of an endpoint, that is of another family.
func (p *Planner) stranger(svc *modes.Service) netip.Addr {
	other := func(a netip.Addr) bool { return modes.FamilyOf(a) != p.family() }
	if other(svc.ClusterIP) {
		return svc.ClusterIP
	}
	for _, list := range [][]netip.Addr{svc.ExternalIPs, svc.LoadBalancerIPs} {
		if i := slices.IndexFunc(list, other); i >= 0 {
			return list[i]
		}
	}
	for _, ep := range svc.Endpoints {
		if other(ep.Addr) {
			return ep.Addr
		}
	}
	return netip.Addr{}
}

// service adds what one changed Service takes.
func (p *Planner) service(c *Change, one modes.Change, next scope) {
	var old map[Key]Entry
	var before identity
	if one.Old != nil {
		old = map[Key]Entry{}
		before = p.ids[one.Old.Key()]
		delete(p.ids, one.Old.Key())
		for _, e := range imageOf(nil, one.Old, before, p.Table, p.scope) {
			old[e.Key] = e
		}
	}
	if one.New != nil {
		ids := p.identify(one.New, one.Old, before)
		p.ids[one.New.Key()] = ids
		for _, e := range imageOf(nil, one.New, ids, p.Table, next) {
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
	for _, e := range imageOf(nil, one.Old, before, p.Table, p.scope) {
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

// chunk is how many Services [Planner.All] gives at a time: their entries are written with
// a handful of system calls, and memory for more would take longer to get than that.
const chunk = 1000

// All gives every entry that the maps must hold after the last Plan, some at a time. What
// an entry refers to comes before it. The Change is valid until fn returns.
func (p *Planner) All(fn func(*Change) error) error {
	var c Change
	var list []Entry
	for i, svc := range p.last.Services {
		list = imageOf(list[:0], svc, p.ids[svc.Key()], p.Table, p.scope)
		for _, e := range list {
			c.put(e, true)
		}
		if i%chunk != chunk-1 && i != len(p.last.Services)-1 {
			continue
		}
		if err := fn(&c); err != nil {
			return err
		}
		for k := range kinds {
			c.Put[k], c.New[k] = c.Put[k][:0], 0
		}
	}
	return nil
}
