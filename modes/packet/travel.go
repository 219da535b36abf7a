package packet

import (
	"cmp"
	"net/netip"
	"slices"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// Station is something that packets pass at a hook, beside the tables of iptables: a base
// chain of nf_tables.
type Station struct {
	Hook     string // as iptables has it: PREROUTING
	Priority int    // lower ones are passed first
	// NAT is set for one that only the first packet of a flow passes, and only where its
	// address is not rewritten yet. All those of a hook are passed where conntrack rewrites
	// addresses; their Priority orders them among themselves.
	NAT  bool
	Pass func(t *rules.Tracer, p *rules.Packet) rules.Verdict
}

// Given is what is known of packets beside their flow. Its zero value is that of a flow's
// first packet whose devices are not known.
type Given struct {
	// State is conntrack's, "" for NEW.
	State string
	// In and Out are the devices by which packets come in and go out, "" if not known.
	In, Out string
	// Assume is that of [rules.Tracer].
	Assume []bool
	// Natted is what conntrack does to a packet whose State is ESTABLISHED, as it did to the
	// first one of its flow.
	Natted Natted
	// After is called at the end of a trace; may be nil.
	After func(*rules.Tracer)
}

// Natted is what became of a flow's addresses.
type Natted struct {
	To     netip.AddrPort // invalid: as it was
	Masked bool           // the source is the node
}

// packet is the packet of a flow.
func (g Given) packet(f modes.Flow) rules.Packet {
	state := cmp.Or(g.State, rules.New)
	return rules.Packet{Proto: f.Proto, Src: f.Src, Dst: f.Dst, State: state, Later: state != rules.New, SentFrom: f.Src, SentTo: f.Dst}
}

// Priorities of the tables of iptables, and of nat where sources are rewritten
// (include/uapi/linux/netfilter_ipv4.h).
var priorities = []struct {
	table    string
	priority int
}{{"raw", -300}, {"mangle", -150}, {"nat", DestinationNAT}, {"filter", 0}, {"security", 50}}

// Priorities at which addresses are rewritten, whatever a chain's own.
const (
	DestinationNAT = -100
	SourceNAT      = 100
)

// conntrack is the priority at which packets are tracked.
const conntrack = -200

// untracked is the state of packets that a rule keeps from conntrack.
const untracked = "UNTRACKED"

// Priorities of IPVS (net/netfilter/ipvs/ip_vs_core.c).
const (
	virtualInput  = SourceNAT - 2
	virtualOutput = DestinationNAT + 1
)

// NATPriority is the priority at which a hook rewrites addresses.
func NATPriority(hook string) int {
	if hook == "INPUT" || hook == "POSTROUTING" {
		return SourceNAT
	}
	return DestinationNAT
}

// stop is a station as a walk passes it.
type stop struct {
	priority, order int
	nat             bool
	pass            func() (modes.Fate, bool)
}

// stops lists what a packet passes at a hook, in order.
func (w *walk) stops(hook string) (out []stop) {
	for _, t := range priorities {
		nat := t.table == "nat"
		if nat {
			t.priority = NATPriority(hook)
		}
		out = append(out, stop{t.priority, t.priority, nat, func() (modes.Fate, bool) { return verdict(w.Hook(t.table, hook, &w.p)) }})
	}
	for _, s := range w.Stations {
		if s.Hook == hook {
			priority := s.Priority
			if s.NAT {
				priority = NATPriority(hook)
			}
			out = append(out, stop{priority, s.Priority, s.NAT, func() (modes.Fate, bool) { return verdict(s.Pass(w.Tracer, &w.p)) }})
		}
	}
	switch hook {
	case "INPUT":
		out = append(out, stop{virtualInput, 0, false, w.served})
	case "OUTPUT":
		out = append(out, stop{virtualOutput, 0, false, w.served})
	}
	slices.SortStableFunc(out, func(a, b stop) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.order, b.order))
	})
	return out
}

// at takes the packet through what is at a hook.
func (w *walk) at(hook string) (modes.Fate, bool) {
	w.devices(hook)
	for _, s := range w.stops(hook) {
		if s.nat && !w.rewritable(hook) {
			continue
		}
		fate, done := w.tracked(s, hook)
		if done {
			return fate, true
		}
	}
	return "", false
}

// tracked passes a stop. Before conntrack has seen a packet, rules take it for INVALID.
func (w *walk) tracked(s stop, hook string) (modes.Fate, bool) {
	state := w.p.State
	early := s.priority < conntrack && (hook == "PREROUTING" || hook == "OUTPUT") && !w.looped && state != untracked
	if early {
		w.p.State = "INVALID"
	}
	fate, done := s.pass()
	if early && w.p.State != untracked {
		w.p.State = state
	}
	return fate, done
}

// devices says which devices a packet has at a hook.
func (w *walk) devices(hook string) {
	w.p.In, w.p.Out = w.Given.In, w.Given.Out
	switch hook {
	case "PREROUTING", "INPUT":
		w.p.Out = rules.NoDevice
		if w.looped {
			w.p.In = "lo"
		}
	case "OUTPUT", "POSTROUTING":
		if hook == "OUTPUT" || w.own {
			w.p.In = rules.NoDevice
		}
		if w.local(w.p.Dst.Addr()) {
			w.p.Out = "lo"
		}
	}
}

// rewritable tells whether rules decide about an address of the packet at a hook. For all
// but the first packet of a flow conntrack knows already.
func (w *walk) rewritable(hook string) bool {
	destination := NATPriority(hook) == DestinationNAT
	switch w.p.State {
	case rules.New, "RELATED":
		if w.looped && (destination || hook == "INPUT") {
			return false // what goes out by lo has passed OUTPUT and POSTROUTING
		}
		return !destination && w.p.Src.IsValid() || destination && !w.p.Redirected && !w.p.Via.IsValid()
	case "ESTABLISHED":
		n := w.Given.Natted
		switch {
		case destination && n.To.IsValid() && !w.p.Redirected:
			w.p.Dst, w.p.Redirected = n.To, true
		case hook == "POSTROUTING" && n.Masked:
			w.p.Src = netip.AddrPort{}
		}
	}
	return false
}

// travel takes the packet through the hooks, in the kernel's order.
func (w *walk) travel(from modes.From) modes.Fate {
	before := w.p.Dst
	first := "PREROUTING"
	if w.own = from == modes.FromNode; w.own {
		first = "OUTPUT"
	}
	if fate, done := w.at(first); done {
		return fate
	}
	if w.local(w.p.Dst.Addr()) {
		return w.come(from)
	}
	if from != modes.FromNode {
		if fate, done := w.at("FORWARD"); done {
			return fate
		}
	}
	fate := w.leave()
	if w.p.Dst == before && fate == modes.ToEndpoint {
		return modes.Unchanged
	}
	return fate
}

// come takes a packet in that is for the node. One of its own goes out by lo first, and
// comes in again.
func (w *walk) come(from modes.From) modes.Fate {
	hooks := []string{"INPUT"}
	if from == modes.FromNode {
		w.looped = true
		hooks = []string{"POSTROUTING", "PREROUTING", "INPUT"}
	}
	for _, hook := range hooks {
		if hook == "PREROUTING" && !w.p.Src.IsValid() {
			w.masked, w.p.Src = true, netip.AddrPortFrom(w.masquerade(), w.p.SentFrom.Port())
		}
		if fate, done := w.at(hook); done {
			return fate
		}
	}
	return w.arrive()
}

// masquerade is the address that the packet got in place of its own.
func (w *walk) masquerade() netip.Addr {
	if w.Source.IsValid() {
		return w.Source
	}
	return w.node
}

func verdict(v rules.Verdict) (modes.Fate, bool) {
	switch v {
	case rules.Dropped:
		return modes.Lost, true
	case rules.Rejected:
		return modes.Refused, true
	case rules.Stopped:
		return modes.Undecided, true
	}
	return "", false
}
