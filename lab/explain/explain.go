// Package explain says what each mode programs for a small topology, and how one
// packet goes through it: through which hooks, chains, rules, sets and virtual
// servers, and at the cost of how many operations. No kernel is asked; a test
// holds the answer against the kernel's own counters.
package explain

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/snapshot/synth"
)

// Cases are the packets that can be followed.
const (
	FromClient  = "client"       // to a Service, through PREROUTING
	FromNode    = "node"         // to a Service, through OUTPUT
	Hairpin     = "hairpin"      // from an endpoint to its own Service, and back to itself
	NoEndpoints = "no-endpoints" // to a Service without endpoints
	WrongPort   = "wrong-port"   // to a VIP's port that is none of its Service's
)

// Cases lists them.
func Cases() []string { return []string{FromClient, FromNode, Hairpin, NoEndpoints, WrongPort} }

// Question is what to explain.
type Question struct {
	Synth    synth.Spec
	Known    catalog.Catalog // that Modes are of
	Modes    []string
	Cases    []string
	Position int        // of the Service, from 0
	Endpoint int        // that chance chooses, from 0
	Args     modes.Args // of those modes that have such parameters

	// Given is a Snapshot to take instead of one of Synth, in normal form. Services that
	// a mode cannot serve are left out there, and named in its Answer.
	Given *modes.Snapshot
	// Flows are further packets, of any kind. Those from the client may have an open
	// source.
	Flows []modes.Flow
}

// Answer is one mode's part.
type Answer struct {
	Mode     string       `json:"mode"`
	Args     modes.Args   `json:"args,omitempty"`
	Programs modes.Counts `json:"programs"`
	// LeftOut are the Services that the mode cannot serve, and why.
	LeftOut []string `json:"left_out,omitempty"`
	// Notes say what was assumed, and what the dumps of a node do not tell.
	Notes []string `json:"notes,omitempty"`
	Ways  []Way    `json:"ways"`

	program writer
}

// writer writes all that a mode programs.
type writer interface{ Write(w io.Writer) error }

// Way is the way of one packet.
type Way struct {
	Mode string `json:"mode"`
	Case string `json:"case"`
	modes.Flow
	modes.Way
}

// localPort is the source port of the packets.
const localPort = 40000

// Validate says in one sentence what is wrong.
func (q Question) Validate() error {
	if q.Given == nil {
		if err := q.Synth.Validate(); err != nil {
			return err
		}
	}
	for _, name := range q.Modes {
		m, err := q.Known.Find(name)
		if err != nil {
			return err
		}
		if err := m.CheckArgs(q.argsOf(m), q.Synth.Family); err != nil {
			return err
		}
	}
	for _, c := range q.Cases {
		if !slices.Contains(Cases(), c) {
			return fmt.Errorf("unknown packet %q: valid are all, %s, and any such as \"client tcp 10.96.0.10:80\"", c, strings.Join(Cases(), ", "))
		}
	}
	if len(q.Cases) == 0 {
		return nil
	}
	switch n := q.services(); {
	case q.Position < 0 || q.Position >= n:
		return fmt.Errorf("there is no service %d among %d", q.Position+1, n)
	case len(q.service().Ports) == 0:
		return fmt.Errorf("service %s has no port to dial", q.service().Key())
	case len(q.service().Endpoints) == 0 && slices.Contains(q.Cases, Hairpin) && len(q.Cases) == 1:
		return fmt.Errorf("service %s has no endpoint that could dial it", q.service().Key())
	case q.Endpoint < 0 || q.Endpoint >= max(1, len(q.service().Endpoints)) && slices.ContainsFunc(q.Cases, toEndpoint):
		return fmt.Errorf("there is no endpoint %d among %d of service %s", q.Endpoint, len(q.service().Endpoints), q.service().Key())
	}
	return nil
}

// toEndpoint tells whether a case is of a packet that an endpoint gets, if there is one.
func toEndpoint(c string) bool { return c != NoEndpoints && c != WrongPort }

// services counts the Services that can be dialled.
func (q Question) services() int {
	if q.Given != nil {
		return len(q.Given.Services)
	}
	return q.Synth.Services
}

// service is the one that is dialled.
func (q Question) service() *modes.Service {
	if q.Given != nil {
		return q.Given.Services[q.Position]
	}
	return q.Synth.Service(q.Position)
}

// Snapshot is the topology of a case: no-endpoints takes the Service's endpoints
// away.
func (q Question) Snapshot(c string) modes.Snapshot {
	var snap modes.Snapshot
	if q.Given != nil {
		snap = *q.Given
	} else {
		snap = q.Synth.Snapshot()
	}
	if c == NoEndpoints {
		svc := *q.service()
		svc.Endpoints = nil
		snap = snap.With(&svc)
	}
	return snap
}

// Flow is the packet of a case.
func (q Question) Flow(c string) modes.Flow {
	svc := q.service()
	at := topo.Of(svc.Family())
	f := modes.Flow{
		From: modes.FromClient, Proto: svc.Ports[0].Protocol, Pick: q.Endpoint,
		Src: netip.AddrPortFrom(at.Client.Addr(), localPort),
		Dst: netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port),
	}
	switch c {
	case FromNode:
		f.From, f.Src = modes.FromNode, netip.AddrPortFrom(at.Node.Addr(), localPort)
	case Hairpin:
		f.From, f.Src = modes.FromPod, netip.AddrPortFrom(svc.Endpoints[q.Endpoint].Addr, localPort)
	case WrongPort:
		f.Dst = netip.AddrPortFrom(svc.ClusterIP, wrongPort(svc))
	}
	return f
}

// wrongPort is a port that none of a Service's ports has, of whatever protocol.
func wrongPort(svc *modes.Service) uint16 {
	port := svc.Ports[len(svc.Ports)-1].Port + 1000
	for port == 0 || slices.ContainsFunc(svc.Ports, func(p modes.ServicePort) bool { return p.Port == port }) {
		port++
	}
	return port
}

// Run answers the question, mode by mode.
func Run(q Question) ([]Answer, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	var out []Answer
	for _, name := range q.Modes {
		mode, err := q.Known.Find(name)
		if err != nil {
			return nil, err
		}
		a, err := q.in(mode)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// in is the answer in one mode.
func (q Question) in(mode modes.Mode) (Answer, error) {
	a := Answer{Mode: mode.Name, Args: q.argsOf(mode)}
	p := planner{mode: mode, args: a.Args, left: &a.LeftOut, made: map[netip.Addr]modes.Program{}}
	for _, c := range q.Cases {
		if c == Hairpin && len(q.service().Endpoints) == 0 {
			continue
		}
		node := topo.Of(q.service().Family()).Node.Addr()
		program, err := p.program(q.Snapshot(c), node, c == NoEndpoints)
		if err != nil {
			return a, err
		}
		f := q.flowIn(mode, c)
		a.Ways = append(a.Ways, Way{mode.Name, c, f, program.Follow(node, f)})
	}
	for _, f := range q.Flows {
		at := topo.Of(modes.FamilyOf(f.Dst.Addr()))
		program, err := p.program(q.Snapshot(""), at.Node.Addr(), false)
		if err != nil {
			return a, err
		}
		f.Pick = q.Endpoint
		f = f.At(at.Client.Addr())
		a.Ways = append(a.Ways, Way{mode.Name, f.String(), f, program.Follow(at.Node.Addr(), f)})
	}
	shown, err := p.program(q.Snapshot(""), q.shown(), false)
	if err == nil {
		a.program, a.Programs = shown, shown.Counts()
	}
	return a, err
}

// shown is the node's address in the family whose programs are shown.
func (q Question) shown() netip.Addr {
	if len(q.Cases) > 0 || len(q.Flows) == 0 {
		return topo.Of(q.service().Family()).Node.Addr()
	}
	return topo.Of(modes.FamilyOf(q.Flows[0].Dst.Addr())).Node.Addr()
}

// argsOf are the arguments that a mode has parameters for.
func (q Question) argsOf(m modes.Mode) modes.Args {
	out := modes.Args{}
	for name, v := range q.Args {
		if p, ok := m.Param(name); ok && v != p.Default {
			out[name] = v
		}
	}
	return out
}

// flowIn is the flow in a mode: in the baseline it goes to the endpoint itself.
func (q Question) flowIn(mode modes.Mode, c string) modes.Flow {
	f := q.Flow(c)
	if svc := q.service(); mode.Baseline && toEndpoint(c) && len(svc.Endpoints) > 0 {
		f.Dst = svc.Endpoints[q.Endpoint].At(svc.Ports[0])
	}
	return f
}
