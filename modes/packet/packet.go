// Package packet follows the first packet of a flow through what a mode
// programs, without a kernel: through which hooks, chains, rules, sets and
// virtual servers, what happens to it, and how many operations that takes.
//
// A mode gives its state as values, a [Program]; [Follow] plays netfilter. A test
// holds what it says against the kernel's own counters.
package packet

import (
	"fmt"
	"net/netip"
	"strings"

	"viplab/modes"
	"viplab/modes/rules"
)

// Front is what clients dial.
type Front struct {
	Proto modes.Protocol
	Addr  netip.AddrPort
}

// Program is what a mode has put into a node's kernel and beside it.
type Program struct {
	Rules rules.Ruleset
	// Entries of sets, as ipset writes them: "10.96.0.1,tcp:80".
	Entries map[string]map[string]bool
	// Servers are virtual servers with their real servers.
	Servers map[Front][]netip.AddrPort
	// Portals are the proxy's ports with the endpoints behind them.
	Portals map[Front][]netip.AddrPort
	// Sticky are the fronts whose Service has affinity.
	Sticky map[Front]bool
	// Bound are the VIPs that are the node's own.
	Bound map[netip.Addr]bool
}

// From is where a flow starts.
type From string

// Places where flows start. A Pod's flow comes in over the network like a
// client's, from an endpoint's address.
const (
	Client From = "client"
	Node   From = "node"
	Pod    From = "pod"
)

// Fate is what became of a packet.
type Fate string

// Fates.
const (
	ToEndpoint Fate = "endpoint" // of a Service
	Refused    Fate = "refused"  // an ICMP error answers
	Lost       Fate = "dropped"
	ToNode     Fate = "node"    // a socket of the node itself, or its reset
	Closed     Fate = "closed"  // accepted by the proxy, which then closes it
	Unchanged  Fate = "no rule" // routed on as if there were no Service
)

// Way is a packet's whole way.
type Way struct {
	Mode  string         `json:"mode"`
	Case  string         `json:"case"`
	From  From           `json:"from"`
	Proto modes.Protocol `json:"protocol"`
	Src   netip.AddrPort `json:"src"`
	Dst   netip.AddrPort `json:"dst"`
	Steps []rules.Step   `json:"steps"`
	Fate  Fate           `json:"fate"`
	// To is where the packet arrives, if Fate is endpoint.
	To netip.AddrPort `json:"to,omitzero"`
	// Masqueraded is whether the receiver sees the node's address as the
	// source, not the client's.
	Masqueraded      bool `json:"masqueraded"`
	rules.Operations `json:"operations"`
}

// Flow is the first packet of a flow.
type Flow struct {
	From  From
	Proto modes.Protocol
	Src   netip.AddrPort
	Dst   netip.AddrPort
	// Pick is which endpoint chance or the scheduler chooses, from 0.
	Pick int
	// Before is the endpoint that the client had lately, invalid for none; it
	// matters to Services with affinity.
	Before netip.Addr
}

// walk is the state of following one packet.
type walk struct {
	Program
	*rules.Tracer
	node netip.Addr
	pick int
	p    rules.Packet
	// before is the endpoint that the client had lately.
	before netip.Addr
	// copied is set when the flow ends at the proxy, which began another.
	copied bool
}

// Follow plays the way of a flow's first packet on a node of the given address.
func Follow(prog Program, node netip.Addr, f Flow) Way {
	w := &walk{Program: prog, Tracer: rules.NewTracer(prog.Rules), node: node, pick: f.Pick,
		p: rules.Packet{Proto: f.Proto, Src: f.Src, Dst: f.Dst, State: "NEW"}}
	w.Pick, w.Local, w.InSet = f.Pick, w.local, w.inSet
	w.before, w.Seen = f.Before, w.seen
	way := Way{From: f.From, Proto: f.Proto, Src: f.Src, Dst: f.Dst}
	way.Fate = w.travel(f.From)
	way.Steps, way.Operations = w.Steps, w.Operations
	way.Masqueraded = w.copied || !w.p.Src.IsValid()
	if way.Fate == ToEndpoint {
		way.To = w.p.Dst
	}
	return way
}

// local tells whether an address is one of the node's.
func (w *walk) local(a netip.Addr) bool { return a == w.node || w.Bound[a] || a.IsLoopback() }

// inSet looks a packet up in a set by the dimensions of its type.
func (w *walk) inSet(set, dirs string, p rules.Packet) bool {
	w.say("", "", set, "look up "+dirs, "")
	entry := fmt.Sprintf("%s,%s:%d", p.Dst.Addr(), p.Proto, p.Dst.Port())
	if dirs == "dst" {
		entry = fmt.Sprint(p.Dst.Port())
	}
	found := w.Entries[set][entry]
	if dirs == "dst,dst,src" {
		entry, found = sourceEntry(w.Entries[set], entry, p.Src.Addr())
	}
	last := &w.Steps[len(w.Steps)-1]
	last.Does = "is not in it"
	if found {
		last.Does = "is in it: " + entry
	}
	return found
}

// sourceEntry looks up an entry with a source address or a range that holds it.
func sourceEntry(entries map[string]bool, entry string, src netip.Addr) (string, bool) {
	if one := entry + "," + src.String(); entries[one] {
		return one, true
	}
	for e := range entries {
		text, ok := strings.CutPrefix(e, entry+",")
		if r, err := netip.ParsePrefix(text); ok && err == nil && r.Contains(src) {
			return e, true
		}
	}
	return entry + "," + src.String(), false
}

// say adds a step that is no rule.
func (w *walk) say(hook, table, where, text, does string) {
	w.Steps = append(w.Steps, rules.Step{Hook: hook, Table: table, Chain: where, Text: text, Does: does})
}

// travel takes the packet through the hooks, in the kernel's order.
func (w *walk) travel(from From) Fate {
	before := w.p.Dst
	if from == Node {
		w.Hook("nat", "OUTPUT", &w.p)
		if fate, done := verdict(w.Hook("filter", "OUTPUT", &w.p)); done {
			return fate
		}
		if fate, done := w.served(); done {
			return fate
		}
		if w.local(w.p.Dst.Addr()) {
			return w.arrive()
		}
	} else {
		w.Hook("nat", "PREROUTING", &w.p)
		if w.local(w.p.Dst.Addr()) {
			if fate, done := verdict(w.Hook("filter", "INPUT", &w.p)); done {
				return fate
			}
			if fate, done := w.served(); done {
				return fate
			}
			return w.arrive()
		}
		if fate, done := verdict(w.Hook("filter", "FORWARD", &w.p)); done {
			return fate
		}
	}
	fate := w.leave()
	if w.p.Dst == before {
		return Unchanged
	}
	return fate
}

func verdict(v rules.Verdict) (Fate, bool) {
	switch v {
	case rules.Dropped:
		return Lost, true
	case rules.Rejected:
		return Refused, true
	}
	return "", false
}

// served looks the packet up among the virtual servers. One that is for it takes it
// on to a real server or, having none, answers with an ICMP error.
func (w *walk) served() (Fate, bool) {
	if w.Servers == nil {
		return "", false
	}
	w.Operations.Servers++
	at := Front{w.p.Proto, w.p.Dst}
	say := func(does string) { w.say("", "ip_vs", "virtual servers", "look up "+at.Addr.String(), does) }
	real, ours := w.Servers[at]
	switch {
	case !ours:
		say("is none")
		return "", false
	case len(real) == 0:
		say("has no real server")
		return Refused, true
	}
	w.p.Dst = w.choose(at, real)
	say("gets destination " + w.p.Dst.String())
	return w.leave(), true
}

// choose picks an endpoint: the one that the client had, under affinity, else the
// one that the flow names.
func (w *walk) choose(at Front, from []netip.AddrPort) netip.AddrPort {
	for _, to := range from {
		if w.Sticky[at] && to.Addr() == w.before {
			return to
		}
	}
	return from[w.pick%len(from)]
}

// seen tells whether the client is in a list of recent ones: that of the chain that
// leads to the endpoint it had.
func (w *walk) seen(list string) bool {
	to, ok := w.Destination("nat", list)
	return ok && to.Addr() == w.before
}

// arrive hands the packet to a socket of the node: the proxy's, which opens a
// connection of its own to an endpoint, or none.
func (w *walk) arrive() Fate {
	endpoints, ours := w.Portals[Front{w.p.Proto, w.p.Dst}]
	if !ours {
		return ToNode
	}
	if len(endpoints) == 0 {
		return Closed
	}
	to := w.choose(Front{w.p.Proto, w.p.Dst}, endpoints)
	w.Copies++
	w.say("", "", "proxy", "accepts on "+w.p.Dst.String(), "opens a connection of its own to "+to.String())
	w.copied = true
	w.p = rules.Packet{Proto: w.p.Proto, Src: netip.AddrPortFrom(w.node, 0), Dst: to, State: "NEW"}
	w.Hook("nat", "OUTPUT", &w.p)
	w.Hook("filter", "OUTPUT", &w.p)
	return w.leave()
}

// leave is the last hook of a packet that goes out.
func (w *walk) leave() Fate {
	w.Hook("nat", "POSTROUTING", &w.p)
	return ToEndpoint
}

// Size counts what a Program holds.
type Size struct {
	Chains  int `json:"chains"`
	Rules   int `json:"rules"`
	Entries int `json:"set_entries"`
	Servers int `json:"virtual_servers"`
	Portals int `json:"proxy_ports"`
}

// Size counts what the Program holds.
func (p Program) Size() Size {
	s := Size{Servers: len(p.Servers), Portals: len(p.Portals)}
	s.Chains, s.Rules = p.Rules.Count()
	for _, e := range p.Entries {
		s.Entries += len(e)
	}
	return s
}
