package rules

import (
	"net/netip"
	"slices"
	"strings"

	"viplab/modes"
)

// Packet is the first packet of a flow, on its way through the hooks.
type Packet struct {
	Proto    modes.Protocol
	Src, Dst netip.AddrPort
	Mark     uint32
	// State is conntrack's: NEW, ESTABLISHED and so on.
	State string
	// Redirected is set when a rule has rewritten its destination.
	Redirected bool
	// Via is the virtual server of IPVS that took the packet on, invalid for none.
	Via netip.AddrPort

	// SentFrom and SentTo are where it came from and was sent to at first.
	SentFrom, SentTo netip.AddrPort

	// What only rules of real nodes ask for. ConnMark is the mark of its flow.
	ConnMark uint32
	// Later is set for one that is not the first of its flow.
	Later bool
	// In and Out are the devices that it comes in and goes out by: "" if that is not known,
	// [NoDevice] for none.
	In, Out string
}

// New is conntrack's state of a flow's first packet.
const New = "NEW"

// Translated tells whether conntrack rewrites the flow's destination: not where a rule
// rewrote it to what it was.
func (p *Packet) Translated() bool { return p.Redirected && p.Dst != p.SentTo }

// Tracked tells whether conntrack knows the packet's flow.
func (p *Packet) Tracked() bool { return p.State != "UNTRACKED" && p.State != "INVALID" }

// Untrack keeps the packet from conntrack, if that has not seen it yet.
func (p *Packet) Untrack() {
	if !p.Tracked() {
		p.State = "UNTRACKED"
	}
}

// NoDevice is in place of the device's name where there is none: a packet that starts at
// the node comes in by none, one that is for it goes out by none.
const NoDevice = "-"

// Front is what the packet is sent to.
func (p Packet) Front() modes.Front { return modes.Front{Proto: p.Proto, Addr: p.Dst} }

// InState tells whether conntrack has the packet in one of some states.
func (p *Packet) InState(states string) bool {
	list := strings.Split(states, ",")
	return slices.Contains(list, p.State) || p.Translated() && slices.Contains(list, "DNAT")
}

// Verdict is how a packet left a hook.
type Verdict string

// Verdicts. Pass is the policy of a built-in chain: on to the next hook.
const (
	Pass     Verdict = "pass"
	Accepted Verdict = "accept" // past the rest of this table
	Dropped  Verdict = "drop"
	Rejected Verdict = "reject" // answered by ICMP
	Rewrote  Verdict = "rewrite"
	Stopped  Verdict = "stop" // what comes next is not known
)

// Tracer walks packets through a Ruleset, as netfilter does.
type Tracer struct {
	// InSet tells whether a packet is in a set, nil: in none.
	InSet func(set, dirs string, p Packet) bool
	// Local tells whether an address is the node's own, nil: none is.
	Local func(netip.Addr) bool
	// Seen tells whether a client is in a list of recent ones, nil: in none.
	Seen func(list string) bool
	// Node is the address that redirected packets get, where they come from outside; Source
	// is set to that which the packet got as its source, if it is not Node's.
	Node, Source netip.Addr
	// Pick is which of the rules with a Chance, in the order in which a packet
	// comes to them, matches; one without alternatives always does.
	Pick int
	// Odds is how likely it is that chance decides as it did.
	Odds float64
	// Assume says of the conditions that are not known, in the order in which a packet
	// comes to them, whether they hold.
	Assume []bool
	// Stop is why the trace stopped, "" if it came to an end. It is Open if a further one of
	// Assume would let it go on.
	Stop string
	Open bool
	// Place is where what was met last stands that may be not known.
	Place string

	chains      Index
	picked, met int
	more        bool
	why         string

	Steps []modes.Step
	modes.Operations
}

// Index finds the chains of a Ruleset, by table and name.
type Index map[string]map[string]*Chain

// NewIndex is that of a Ruleset.
func NewIndex(rs Ruleset) Index {
	out := Index{}
	for _, table := range rs.Tables {
		chains := map[string]*Chain{}
		for _, c := range table.Chains {
			chains[c.Name] = c
		}
		for c := range (Table{More: table.More}).All() {
			chains[c.Name] = c.Clone()
		}
		out[table.Name] = chains
	}
	return out
}

// Tracer is one that has met no packet yet.
func (x Index) Tracer() *Tracer { return &Tracer{chains: x, Odds: 1} }

// NewTracer is a Tracer of a Ruleset.
func NewTracer(rs Ruleset) *Tracer { return NewIndex(rs).Tracer() }

// Hook walks a packet through one table's chain of a hook, such as PREROUTING
// of nat. A table or chain that is not there passes it.
func (t *Tracer) Hook(table, hook string, p *Packet) Verdict {
	c := t.chains[table][hook]
	if c == nil {
		return Pass
	}
	v, done := t.chain(table, hook, hook, p)
	if !done && c.Shut {
		t.Steps = append(t.Steps, modes.Step{Hook: hook, Table: table, Chain: hook, Text: "policy DROP", Does: "is dropped"})
		return Dropped
	}
	return v
}

// Destination is where a chain's last rule rewrites packets to, if it does.
func (t *Tracer) Destination(table, chain string) (netip.AddrPort, bool) {
	c := t.chains[table][chain]
	if c == nil || len(c.Rules) == 0 {
		return netip.AddrPort{}, false
	}
	last := c.Rules[len(c.Rules)-1]
	return last.To, last.Target == DNAT
}

// chain walks one chain; done is false when it came to its end.
func (t *Tracer) chain(table, hook, name string, p *Packet) (v Verdict, done bool) {
	c := t.chains[table][name]
	if c == nil {
		return Pass, false
	}
	looked := 0
	for i := range c.Rules {
		r := &c.Rules[i]
		t.Rules++
		looked++
		met := t.matches(r, p)
		if met == No || met == Yes && t.passedOver(r) {
			continue
		}
		step := modes.Step{Hook: hook, Table: table, Chain: name, Rule: i + 1, Looked: looked, Text: r.text()}
		looked = 0
		if met == Unknown {
			t.Place = r.Foreign.place()
			holds, ok := t.Suppose(step)
			if !ok {
				return Stopped, true
			}
			if !holds || t.passedOver(r) {
				continue
			}
			step.Looked = 1
		}
		step.Does = r.does()
		at := len(t.Steps)
		t.Steps = append(t.Steps, step)
		switch r.Target {
		case Return:
			return Pass, false
		case Jump:
			t.Jumps++
			v, done := t.chain(table, hook, r.Chain, p)
			if done || r.Foreign != nil && r.Foreign.Goto {
				return v, done
			}
			continue
		case Other:
			t.Place = r.Foreign.place()
			v, done := r.Foreign.Action.Apply(t, p)
			if t.Steps[at].Does = r.Foreign.Action.Does(p); done {
				return v, true
			}
			continue
		}
		if v, done := r.apply(p); done {
			return v, true
		}
	}
	if t.Tired() {
		return Stopped, true
	}
	return Pass, false
}

// matches tells whether all matches of a rule hold.
func (t *Tracer) matches(r *Rule, p *Packet) Truth {
	switch {
	case r.Proto != "" && r.Proto != p.Proto,
		r.Dst.IsValid() && r.Dst.Contains(p.Dst.Addr()) == r.NotDst,
		r.DPort != 0 && r.DPort != p.Dst.Port(),
		r.Src.IsValid() && r.Src.Contains(p.Src.Addr()) == r.NotSrc,
		r.NotMark != 0 && p.Mark&r.NotMark == r.NotMark,
		r.HasMark != 0 && p.Mark&r.HasMark != r.HasMark,
		r.CTState != "" && !p.InState(r.CTState),
		r.NotCTState != "" && p.InState(r.NotCTState),
		r.DstLocal && (t.Local == nil || !t.Local(p.Dst.Addr())),
		r.SrcLocal && (t.Local == nil || !t.Local(p.Src.Addr())),
		r.Virtual && p.Via != r.To,
		r.Seconds != 0 && (t.Seen == nil || !t.Seen(r.Recent)):
		return No
	}
	if r.Set != "" {
		t.Sets++
		if t.InSet == nil || !t.InSet(r.Set, r.SetDirs, *p) {
			return No
		}
	}
	if r.Foreign != nil {
		return t.all(r.Foreign.Matches, p)
	}
	return Yes
}

// passedOver tells whether chance passes a rule over that the packet matches.
func (t *Tracer) passedOver(r *Rule) bool {
	switch {
	case r.Chance > 1:
		return !t.Chance(1 / float64(r.Chance))
	case r.Foreign != nil && r.Foreign.Chance < 1:
		return !t.Chance(r.Foreign.Chance)
	}
	return false
}

// text is the rule as it was found, or as a mode writes it.
func (r *Rule) text() string {
	if r.Foreign != nil {
		return r.Foreign.Text
	}
	return strings.TrimSpace(string(AppendRule(nil, r)))
}

// apply does what a rule's target does to a packet; done ends the table.
func (r *Rule) apply(p *Packet) (Verdict, bool) {
	switch r.Target {
	case Accept:
		return Accepted, true
	case Drop:
		return Dropped, true
	case Reject:
		return Rejected, true
	case DNAT, Redirect:
		p.Dst, p.Redirected = r.To, true
		return Rewrote, true
	case Masquerade:
		p.Src = netip.AddrPort{}
		return Rewrote, true
	case OrMark:
		p.Mark |= r.Mark
	case XorMark:
		p.Mark ^= r.Mark
	}
	return Pass, false
}

// does says what a matched rule does, for people.
func (r *Rule) does() string {
	switch r.Target {
	case Jump:
		return "goes to chain " + r.Chain
	case Return:
		return "goes back"
	case Accept:
		return "past the rest of the table"
	case Drop:
		return "is dropped"
	case Reject:
		return "is refused by ICMP"
	case DNAT:
		return "gets destination " + r.To.String()
	case Redirect:
		return "gets destination " + r.To.String() + " on this node"
	case Masquerade:
		return "gets the node's address as its source"
	}
	return "gets a mark"
}
