package simulate

import (
	"fmt"
	"net/netip"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// node is the address, of a family, that Programs are planned for; no count depends on it.
func node(f modes.Family) netip.Addr {
	if f == modes.IPv6 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("192.0.2.1")
}

// client is a sender in the range of the endpoints of a family, and that range.
func client(f modes.Family) (netip.Addr, netip.Prefix) {
	in := synth.EndpointRange
	if f == modes.IPv6 {
		in = synth.EndpointRange6
	}
	return in.Addr(), in
}

// sampled is up to which number of Services a mode's state is counted whole; beyond it
// what one more Service adds is counted on a sample and multiplied.
const sampled = 600

// modelled says whether a mode can be simulated.
func modelled(m modes.Mode) error {
	if m.Model == nil || m.Program == nil {
		return &modes.NoPlanError{Mode: m.Name, PeerOf: m.PeerOf, What: "simulated"}
	}
	return nil
}

// StateOf counts what a mode programs for a Topology.
func StateOf(m modes.Mode, a modes.Args, t modes.Topology) (modes.Counts, error) {
	if err := modelled(m); err != nil {
		return nil, err
	}
	family := modes.FamilyOf(t.VIP(0))
	own := func(s modes.Snapshot) modes.Program { return m.Program(a, s.Of(family), node(family)) }
	if whole, ok := t.(interface{ Whole() modes.Snapshot }); ok {
		return own(whole.Whole()).Counts(), nil // its Services are not alike
	}
	if t.Count() <= sampled {
		return own(t.Head(t.Count())).Counts(), nil
	}
	line := func(plan func(modes.Snapshot) modes.Program) modes.Counts {
		less, more := plan(t.Head(sampled)).Counts(), plan(t.Head(sampled+100)).Counts()
		return less.Plus(more, float64(t.Count()-sampled)/100)
	}
	if m.Model.State != nil {
		return m.Model.State(a, t, line), nil
	}
	return line(own), nil
}

// Walker counts the operations on the way of first packets to Services of a Topology.
type Walker struct {
	mode     modes.Mode
	args     modes.Args
	topology modes.Topology
	others   map[int]modes.Operations // of other Services, by position
}

// NewWalker prepares to walk to Services at the given positions.
func NewWalker(m modes.Mode, a modes.Args, t modes.Topology, positions []int) (*Walker, error) {
	if err := modelled(m); err != nil {
		return nil, err
	}
	w := &Walker{mode: m, args: a, topology: t}
	if m.Model.Dispatch != nil {
		w.others = m.Model.Dispatch(a, t, positions)
	}
	return w, nil
}

// First counts the operations on the way of a flow's first packet from a
// client to the first port of the Service at a position. The Service is planned
// alone and its packet traced; what the other Services add is their dispatch,
// counted by the mode's structure.
func (w *Walker) First(position int) (modes.Operations, error) {
	svc := w.topology.At(position)
	if len(svc.Ports) == 0 {
		return modes.Operations{}, fmt.Errorf("service %s has no port", svc.Key())
	}
	at := node(svc.Family())
	from, in := client(svc.Family())
	alone := modes.Snapshot{Services: []*modes.Service{svc}, ClusterCIDR: in}
	f := modes.Flow{From: modes.FromClient, Proto: svc.Ports[0].Protocol, Pick: position % max(1, len(svc.Endpoints)),
		Src: netip.AddrPortFrom(from, 40000), Dst: netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port)}
	out := w.mode.Program(w.args, alone, at).Follow(at, f).Operations
	out.Add(w.others[position])
	return out, nil
}
