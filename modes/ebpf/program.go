package ebpf

import (
	"fmt"
	"io"
	"net/netip"
	"slices"

	"viplab/modes"
)

// Program is what the mode puts into a node, as values: the content of the maps. What the
// programs of bpf/ do with them, [Program.Follow] does without a kernel.
type Program struct {
	Options  Options
	scope    scope
	node     modes.NodeConfig
	Ports    map[Front]Service
	Slots    map[Front]uint32 // ids of backends
	Backends map[uint32]netip.AddrPort
	Tables   map[uint32][]uint32
	Sources  map[uint32][]netip.Prefix // by id of the Service port
}

// NewProgram is the content of the maps for a Snapshot of one family.
func NewProgram(o Options, s modes.Snapshot) Program {
	p := newProgram(o)
	planner := Planner{Family: o.Family, Table: o.table()}
	p.scope, p.node = scopeOf(s, o.Family), s.Node
	planner.begin(s)
	_ = planner.All(func(c *Change) error { // which gives no error of its own
		for _, entries := range c.Put {
			for _, e := range entries {
				p.add(e)
			}
		}
		return nil
	})
	return p
}

func newProgram(o Options) Program {
	return Program{
		Options: New(o).options, Ports: map[Front]Service{}, Slots: map[Front]uint32{}, Backends: map[uint32]netip.AddrPort{},
		Tables: map[uint32][]uint32{}, Sources: map[uint32][]netip.Prefix{},
	}
}

func (p Program) add(e Entry) {
	switch e.Kind {
	case Backends:
		p.Backends[e.ID] = e.Backend
	case Sources:
		p.Sources[e.ID] = append(p.Sources[e.ID], e.Source)
	case Tables:
		p.Tables[e.ID] = e.Table
	case Slots:
		p.Slots[e.Front] = e.Service.ID
	case Ports:
		p.Ports[e.Front] = e.Service
	}
}

// CountEntries is the kind of what the mode's maps hold.
const CountEntries = "BPF map entries"

// Counts implements [modes.Program].
func (p Program) Counts() modes.Counts {
	n := len(p.Ports) + len(p.Slots) + len(p.Backends) + len(p.Tables)
	for _, ranges := range p.Sources {
		n += len(ranges)
	}
	return modes.Counts{CountEntries: float64(n)}
}

// Write implements [modes.Program]: every front as a line, sorted.
func (p Program) Write(w io.Writer) error {
	for _, line := range p.lines() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// lines says of every front what it leads to. Ids are left out: they depend on what was
// there before.
func (p Program) lines() []string {
	var out []string
	for f, svc := range p.Ports {
		line := f.String()
		if svc.Flags != 0 {
			line += " (" + svc.Flags.String() + ")"
		}
		if svc.Affinity != 0 {
			line += fmt.Sprintf(" for %ds", svc.Affinity)
		}
		for _, r := range p.Sources[svc.ID] {
			if svc.Flags&Ranges != 0 {
				line += " from " + r.String()
			}
		}
		if len(p.of(f, svc)) > 0 {
			line += " to"
		}
		for _, id := range p.of(f, svc) {
			line += " " + p.Backends[id].String()
			if n := count(p.Tables[svc.ID], id); n > 0 {
				line += fmt.Sprintf(" x%d", n)
			}
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func count(table []uint32, id uint32) (n int) {
	for _, one := range table {
		if one == id {
			n++
		}
	}
	return n
}

// walk is the state of following one flow.
type walk struct {
	Program
	at   netip.Addr // the node's
	flow modes.Flow
	hook string
	way  modes.Way
}

// Follow plays the way of a flow's first packet on a node of the given address.
func (p Program) Follow(node netip.Addr, f modes.Flow) modes.Way {
	w := &walk{Program: p, at: node, flow: f}
	ofNode, local := f.From == modes.FromNode, w.local(f.Dst.Addr())
	if ofNode && !f.Src.IsValid() {
		w.flow.Src = netip.AddrPortFrom(w.source(f.Dst.Addr()), modes.FirstLocalPort)
	}
	if ofNode && p.Options.Attach.socket() {
		w.hook = "connect"
		if f.Proto == modes.UDP {
			w.hook = "sendmsg"
		}
		w.way.Fate = w.socket()
	}
	// What a socket sends to the node itself leaves by no link but loopback.
	if w.way.Fate == "" && p.Options.Attach.tc() && !(ofNode && local) {
		w.hook = "tc ingress"
		if ofNode {
			w.hook = "tc egress"
		}
		w.way.Fate = w.link(ofNode)
	}
	if w.way.Fate == "" {
		w.way.Fate = modes.Unchanged
		if local {
			w.way.Fate = modes.ToNode
		}
	}
	if w.way.Seen = w.flow.Src.Addr(); w.way.Masqueraded {
		w.way.Seen = node
	}
	return w.way
}

// local tells whether an address is one of the node's.
func (w *walk) local(a netip.Addr) bool {
	return a == w.at || a.IsLoopback() || slices.Contains(w.node.Addrs, a)
}

// source is the address that the kernel gives to the node's own packets: where they do
// not leave the node, that which they go to.
func (w *walk) source(dst netip.Addr) netip.Addr {
	switch {
	case dst.IsLoopback() && dst.Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case w.local(dst):
		return dst
	}
	return w.at
}

// look adds a look-up in a map.
func (w *walk) look(name, key, found string) {
	w.way.Sets++
	w.say(name, "look up "+key, found)
}

// say adds a step.
func (w *walk) say(where, text, does string) {
	w.way.Steps = append(w.way.Steps, modes.Step{Hook: w.hook, Table: "bpf", Chain: where, Text: text, Does: does})
}

// socket is to_endpoint of bpf/socket.h; no fate if the call is left alone.
func (w *walk) socket() modes.Fate {
	front, svc, ours := w.find(true)
	switch {
	case !ours:
		return ""
	case svc.Flags&Ranges != 0:
		w.say(servicesMap, "the Service has source ranges", "is left to the links")
		return ""
	case svc.Count == 0 && svc.Flags&Silent != 0:
		w.say(servicesMap, "it has no backend here", "is left to the links")
		return ""
	case svc.Count == 0:
		w.say(servicesMap, "it has no backend", "the call fails: connection refused")
		return modes.Refused
	}
	w.way.To = w.choose(front, svc, netip.Addr{})
	w.flow.Src = netip.AddrPortFrom(w.at, w.flow.Src.Port()) // chosen after this, by the endpoint
	w.say(peersMap, "remember what was dialled", "the socket is led to "+w.way.To.String())
	return modes.ToEndpoint
}

// link is serve of bpf/lb.c; no fate if the packet is left alone.
func (w *walk) link(ofNode bool) modes.Fate {
	w.look(flowsMap, w.flow.Src.String()+" to "+w.flow.Dst.String(), "is none")
	front, svc, ours := w.find(ofNode || w.inCluster())
	switch {
	case !ours:
		return ""
	case svc.Flags&Ranges != 0 && !w.allowed(svc.ID):
		return modes.Lost
	case svc.Count == 0 && svc.Flags&Silent != 0:
		w.say(servicesMap, "it has no backend here", "is dropped")
		return modes.Lost
	case svc.Count == 0:
		w.say(servicesMap, "it has no backend", "is answered: port unreachable")
		return modes.Refused
	}
	client := w.flow.Src.Addr()
	if ofNode {
		client = netip.Addr{}
	}
	w.way.To = w.choose(front, svc, client)
	does := "gets destination " + w.way.To.String()
	if w.way.Masqueraded = !ofNode && w.masqueraded(svc); w.way.Masqueraded {
		w.look(linksMap, "the link to "+w.way.To.Addr().String(), "has "+w.at.String())
		does += " and source " + w.at.String()
	}
	w.say(flowsMap, "enter both directions", does)
	return modes.ToEndpoint
}

// find is find of bpf/choose.h.
func (w *walk) find(inside bool) (Front, Service, bool) {
	f := Front{Addr: w.flow.Dst.Addr(), Port: w.flow.Dst.Port(), Proto: w.flow.Proto}
	svc, ok := w.port(f)
	if !ok {
		own := w.local(f.Addr) && w.node.NodePortAt(f.Addr)
		w.look(nodesMap, f.Addr.String(), map[bool]string{true: "has node ports", false: "has none"}[own])
		if !own {
			return f, svc, false
		}
		f.Addr = modes.FamilyOf(f.Addr).Unspecified()
		svc, ok = w.port(f)
	}
	if ok && svc.Flags&Scoped != 0 && inside {
		f.Inside = true
		svc, ok = w.port(f)
	}
	return f, svc, ok
}

func (w *walk) port(f Front) (Service, bool) {
	svc, ok := w.Ports[f]
	found := "is none"
	if ok {
		found = fmt.Sprintf("is service %d with %d backends", svc.ID, svc.Count)
	}
	key := fmt.Sprintf("%s/%s slot 0", netip.AddrPortFrom(f.Addr, f.Port), f.Proto)
	if f.Inside {
		key += " inside"
	}
	w.look(servicesMap, key, found)
	return svc, ok
}

func (w *walk) inCluster() bool {
	in := w.scope.cluster.IsValid() && w.scope.cluster.Contains(w.flow.Src.Addr())
	w.look(configMap, "the pods' range", map[bool]string{true: "has the sender", false: "has not the sender"}[in])
	return in
}

func (w *walk) allowed(id uint32) bool {
	i := slices.IndexFunc(w.Sources[id], func(r netip.Prefix) bool { return r.Contains(w.flow.Src.Addr()) })
	if i < 0 {
		w.look(sourcesMap, w.flow.Src.Addr().String(), "is in no range: is dropped")
		return false
	}
	w.look(sourcesMap, w.flow.Src.Addr().String(), "is in "+w.Sources[id][i].String())
	return true
}

// masqueraded is masquerades of bpf/flow.h.
func (w *walk) masqueraded(svc Service) bool {
	switch {
	case svc.Flags&Masquerade != 0:
		return true
	case svc.Flags&ClusterIP != 0 && w.scope.cluster.IsValid() && !w.inCluster():
		return true
	}
	return w.flow.Src.Addr() == w.way.To.Addr()
}

// choose is choose and pick of bpf/choose.h, with the flow's choice in place of chance.
func (w *walk) choose(f Front, svc Service, client netip.Addr) netip.AddrPort {
	ids := w.of(f, svc)
	if svc.Affinity > 0 {
		who := "the node"
		if client.IsValid() {
			who = client.String()
		}
		at := slices.IndexFunc(ids, func(id uint32) bool { return w.Backends[id].Addr() == w.flow.Before })
		if at >= 0 {
			w.look(affinityMap, who, fmt.Sprintf("had backend %d", ids[at]))
			return w.backend(ids[at])
		}
		w.look(affinityMap, who, "is none")
	}
	id := ids[w.flow.Pick%len(ids)]
	if w.Options.table() > 0 {
		w.look(maglevMap, fmt.Sprintf("service %d at the flow's hash", svc.ID), fmt.Sprintf("is backend %d", id))
	} else {
		w.look(servicesMap, fmt.Sprintf("slot %d of it", 1+w.flow.Pick%len(ids)), fmt.Sprintf("is backend %d", id))
	}
	return w.backend(id)
}

func (w *walk) backend(id uint32) netip.AddrPort {
	to := w.Backends[id]
	w.look(backendsMap, fmt.Sprint(id), "is "+to.String())
	return to
}

// of lists the backends of a front.
func (p Program) of(f Front, svc Service) []uint32 {
	if p.Options.table() > 0 {
		ids := slices.Clone(p.Tables[svc.ID])
		slices.Sort(ids)
		return slices.Compact(ids)
	}
	ids := make([]uint32, svc.Count)
	for i := range ids {
		f.Slot = uint32(i + 1)
		ids[i] = p.Slots[f]
	}
	return ids
}
