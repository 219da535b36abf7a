package ebpf

import (
	"net/netip"

	"viplab/modes"
)

// identity is the ids of a Service's ports and backends. They are never used again for
// anything else, so that what a program remembers by id cannot be mistaken.
type identity struct {
	// ports has two ids for each port: that of all endpoints, and the next one for
	// those of this node.
	ports []uint32
	// backends has one for each endpoint of each port.
	backends [][]uint32
}

// image is all entries of one Service.
type image struct {
	svc   *modes.Service
	ids   identity
	table int // size of Maglev's tables, 0 for random choice
	// clusterIP is how ClusterIPs are served.
	clusterIP Flags
	entries   []Entry
	had       map[Key]bool // of what several fronts share
}

// imageOf appends the entries of a Service to a list.
func imageOf(list []Entry, svc *modes.Service, ids identity, table int, s scope) []Entry {
	m := image{svc: svc, ids: ids, table: table, clusterIP: ClusterIP, entries: list}
	if s.masqueradeAll {
		m.clusterIP |= Masquerade
	}
	for i := range svc.Ports {
		m.port(i)
	}
	return m.entries
}

// set is the endpoints that a front leads to.
type set struct {
	id       uint32
	backends []uint32
	names    []string // of the backends, for Maglev
	// flags are those of every front that leads there.
	flags Flags
}

func (m *image) port(i int) {
	svc, port := m.svc, m.svc.Ports[i]
	reach := svc.Reach(port)
	all, local := set{id: m.ids.ports[i]}, set{id: m.ids.ports[i] + 1, flags: Local}
	m.each(i, reach.Cluster, all.add)
	m.each(i, reach.Local, local.add)
	if reach.Any && len(local.backends) == 0 { // there are endpoints, but not for these fronts
		local.flags |= Silent
	}
	m.backends(i, reach.All, all.backends, local.backends)
	front := Front{Addr: svc.ClusterIP, Port: port.Port, Proto: port.Protocol}
	if svc.InternalLocal {
		m.front(front, local, m.clusterIP)
	} else {
		m.front(front, all, m.clusterIP)
	}
	for _, a := range svc.ExternalIPs {
		front.Addr = a
		m.external(front, all, local, 0)
	}
	for _, a := range svc.LoadBalancerIPs {
		front.Addr = a
		flags := Flags(0)
		if len(svc.SourceRanges) > 0 {
			flags = Ranges
		}
		m.external(front, all, local, flags)
	}
	if port.NodePort != 0 {
		front.Addr, front.Port = svc.Family().Unspecified(), port.NodePort
		m.external(front, all, local, 0)
	}
}

// backends adds those of a port. What of them is for fronts under either policy are lists in
// the same order.
func (m *image) backends(port int, some []modes.Endpoint, cluster, local []uint32) {
	m.each(port, some, func(id uint32, to netip.AddrPort) {
		e := Entry{Key: Key{Kind: Backends, ID: id}, Backend: to}
		if len(cluster) > 0 && cluster[0] == id {
			e.Fronts, cluster = ByCluster, cluster[1:]
		}
		if len(local) > 0 && local[0] == id {
			e.Fronts, local = e.Fronts|ByLocal, local[1:]
		}
		m.entries = append(m.entries, e)
	})
}

// each calls fn for some endpoints of a port, which are in the order of the Service's.
func (m *image) each(port int, some []modes.Endpoint, fn func(uint32, netip.AddrPort)) {
	j := 0
	for _, ep := range some {
		for m.svc.Endpoints[j] != ep {
			j++
		}
		fn(m.ids.backends[port][j], ep.At(m.svc.Ports[port]))
		j++
	}
}

func (s *set) add(id uint32, to netip.AddrPort) {
	s.backends = append(s.backends, id)
	s.names = append(s.names, to.String())
}

// external adds a front for traffic from outside. Under policy Local it has a twin with
// all endpoints for the cluster's own senders.
func (m *image) external(f Front, all, local set, flags Flags) {
	if !m.svc.ExternalLocal {
		m.front(f, all, flags|Masquerade)
		return
	}
	m.front(f, local, flags|Scoped)
	f.Inside = true
	m.front(f, all, flags)
}

// front adds a front with its slots, and what it refers to.
func (m *image) front(f Front, s set, flags Flags) {
	flags |= s.flags
	if flags&Ranges != 0 {
		for _, r := range m.svc.SourceRanges {
			m.once(Entry{Key: Key{Kind: Sources, ID: s.id, Source: r.Masked()}})
		}
	}
	if n := len(s.backends); n > 0 && m.table > 0 {
		key := Key{Kind: Tables, ID: s.id}
		if !m.had[key] {
			m.once(Entry{Key: key, Table: maglev(s.names, s.backends, m.table)})
		}
	}
	m.entries = append(m.entries, Entry{Key: Key{Kind: Ports, Front: f}, Service: Service{
		ID: s.id, Count: uint16(len(s.backends)), Flags: flags, Affinity: uint32(m.svc.Affinity.Seconds()),
	}})
	if m.table > 0 {
		return // the table stands for the slots
	}
	for i, id := range s.backends {
		f.Slot = uint32(i + 1)
		m.entries = append(m.entries, Entry{Key: Key{Kind: Slots, Front: f}, Service: Service{ID: id}})
	}
}

// once adds an entry that several fronts may refer to.
func (m *image) once(e Entry) {
	if m.had == nil {
		m.had = map[Key]bool{}
	}
	if !m.had[e.Key] {
		m.had[e.Key] = true
		m.entries = append(m.entries, e)
	}
}
