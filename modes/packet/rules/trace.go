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
	// Redirected is set when its destination was rewritten: state DNAT.
	Redirected bool
	// Via is the virtual server of IPVS that took the packet on, invalid for none.
	Via netip.AddrPort
}

// Front is what the packet is sent to.
func (p Packet) Front() modes.Front { return modes.Front{Proto: p.Proto, Addr: p.Dst} }

// inState tells whether conntrack has the packet in one of some states.
func (p Packet) inState(states string) bool {
	list := strings.Split(states, ",")
	return slices.Contains(list, p.State) || p.Redirected && slices.Contains(list, "DNAT")
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
)

// Tracer walks packets through a Ruleset, as netfilter does.
type Tracer struct {
	// InSet tells whether a packet is in a set, nil: in none.
	InSet func(set, dirs string, p Packet) bool
	// Local tells whether an address is the node's own, nil: none is.
	Local func(netip.Addr) bool
	// Seen tells whether a client is in a list of recent ones, nil: in none.
	Seen func(list string) bool
	// Pick is which of the rules with a Chance, in the order in which a packet
	// comes to them, matches; one without alternatives always does.
	Pick int

	chains map[string]map[string]*Chain
	tables []string
	picked int

	Steps []modes.Step
	modes.Operations
}

// NewTracer indexes a Ruleset's chains. Tables are walked in its order.
func NewTracer(rs Ruleset) *Tracer {
	t := &Tracer{chains: map[string]map[string]*Chain{}}
	for _, table := range rs.Tables {
		t.tables = append(t.tables, table.Name)
		chains := map[string]*Chain{}
		for c := range table.All() {
			chains[c.Name] = c
		}
		t.chains[table.Name] = chains
	}
	return t
}

// Hook walks a packet through one table's chain of a hook, such as PREROUTING
// of nat. A table or chain that is not there passes it.
func (t *Tracer) Hook(table, hook string, p *Packet) Verdict {
	if !slices.Contains(t.tables, table) || t.chains[table][hook] == nil {
		return Pass
	}
	v, _ := t.chain(table, hook, hook, p)
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
		if !t.matches(r, *p) {
			continue
		}
		t.Steps = append(t.Steps, modes.Step{Hook: hook, Table: table, Chain: name, Rule: i + 1, Looked: looked,
			Text: strings.TrimSpace(string(AppendRule(nil, r))), Does: r.does()})
		looked = 0
		if r.Target == Return {
			return Pass, false
		}
		if r.Target == Jump {
			t.Jumps++
			if v, done := t.chain(table, hook, r.Chain, p); done {
				return v, true
			}
			continue
		}
		if v, done := r.apply(p); done {
			return v, true
		}
	}
	return Pass, false
}

// matches tells whether all matches of a rule hold.
func (t *Tracer) matches(r *Rule, p Packet) bool {
	switch {
	case r.Proto != "" && r.Proto != p.Proto,
		r.Dst.IsValid() && r.Dst.Contains(p.Dst.Addr()) == r.NotDst,
		r.DPort != 0 && r.DPort != p.Dst.Port(),
		r.Src.IsValid() && r.Src.Contains(p.Src.Addr()) == r.NotSrc,
		r.NotMark != 0 && p.Mark&r.NotMark == r.NotMark,
		r.HasMark != 0 && p.Mark&r.HasMark != r.HasMark,
		r.CTState != "" && !p.inState(r.CTState),
		r.NotCTState != "" && p.inState(r.NotCTState),
		r.DstLocal && (t.Local == nil || !t.Local(p.Dst.Addr())),
		r.SrcLocal && (t.Local == nil || !t.Local(p.Src.Addr())),
		r.Virtual && p.Via != r.To,
		r.Seconds != 0 && (t.Seen == nil || !t.Seen(r.Recent)):
		return false
	}
	if r.Set != "" {
		t.Sets++
		if t.InSet == nil || !t.InSet(r.Set, r.SetDirs, p) {
			return false
		}
	}
	if r.Chance > 1 {
		t.picked++
		return t.picked > t.Pick
	}
	return true
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
