// Package explain says what each mode programs for a small topology, and how one
// packet goes through it: through which hooks, chains, rules, sets and virtual
// servers, and at the cost of how many operations. No kernel is asked; a test
// holds the answer against the kernel's own counters.
package explain

import (
	"fmt"
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
}

// Answer is one mode's part.
type Answer struct {
	Mode     string       `json:"mode"`
	Args     modes.Args   `json:"args,omitempty"`
	Programs modes.Counts `json:"programs"`
	Ways     []Way        `json:"ways"`

	program modes.Program
}

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
	if err := q.Synth.Validate(); err != nil {
		return err
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
			return fmt.Errorf("unknown packet %q: valid are all, %s", c, strings.Join(Cases(), ", "))
		}
	}
	switch {
	case q.Position < 0 || q.Position >= q.Synth.Services:
		return fmt.Errorf("there is no service %d among %d", q.Position+1, q.Synth.Services)
	case q.Endpoint < 0 || q.Endpoint >= q.Synth.Endpoints:
		return fmt.Errorf("there is no endpoint %d among %d", q.Endpoint+1, q.Synth.Endpoints)
	}
	return nil
}

// Snapshot is the topology of a case: no-endpoints takes the Service's endpoints
// away.
func (q Question) Snapshot(c string) modes.Snapshot {
	snap := q.Synth.Snapshot()
	if c == NoEndpoints {
		svc := *snap.Services[q.Position*q.Synth.Width()]
		svc.Endpoints = nil
		snap = snap.With(&svc)
	}
	return snap
}

// addresses are those of the family that the packet is of.
func (q Question) addresses() topo.Addresses { return topo.Of(q.Synth.Service(q.Position).Family()) }

// Flow is the packet of a case.
func (q Question) Flow(c string) modes.Flow {
	svc := q.Synth.Service(q.Position)
	f := modes.Flow{
		From: modes.FromClient, Proto: modes.TCP, Pick: q.Endpoint,
		Src: netip.AddrPortFrom(q.addresses().Client.Addr(), localPort),
		Dst: netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port),
	}
	switch c {
	case FromNode:
		f.From, f.Src = modes.FromNode, netip.AddrPortFrom(q.addresses().Node.Addr(), localPort)
	case Hairpin:
		f.From, f.Src = modes.FromPod, netip.AddrPortFrom(svc.Endpoints[q.Endpoint].Addr, localPort)
	case WrongPort:
		f.Dst = netip.AddrPortFrom(svc.ClusterIP, svc.Ports[len(svc.Ports)-1].Port+1000)
	}
	return f
}

// Run answers the question, mode by mode.
func Run(q Question) ([]Answer, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	var out []Answer
	node := q.addresses().Node.Addr()
	for _, name := range q.Modes {
		mode, err := q.Known.Find(name)
		if err != nil {
			return nil, err
		}
		a := Answer{Mode: name, Args: q.argsOf(mode)}
		if a.program, err = mode.Plan(a.Args, q.Snapshot(FromClient), node); err != nil {
			return nil, err
		}
		a.Programs = a.program.Counts()
		for _, c := range q.Cases {
			program, err := mode.Plan(a.Args, q.Snapshot(c), node)
			if err != nil {
				return nil, err
			}
			f := q.flowIn(mode, c)
			a.Ways = append(a.Ways, Way{name, c, f, program.Follow(node, f)})
		}
		out = append(out, a)
	}
	return out, nil
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
	if mode.Baseline && c != WrongPort && c != NoEndpoints {
		svc := q.Synth.Service(q.Position)
		f.Dst = netip.AddrPortFrom(svc.Endpoints[q.Endpoint].Addr, svc.Ports[0].TargetPort)
	}
	return f
}
