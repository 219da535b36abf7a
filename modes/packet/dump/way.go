package dump

import (
	"fmt"
	"net/netip"

	"viplab/modes"
	"viplab/modes/packet"
	"viplab/modes/packet/rules"
)

// Bounds of how often a packet is followed: conditions that are not known double it.
const (
	maxUnknown = 7
	maxChances = 512
	// maxBoth is that of chances where there are conditions that are not known.
	maxBoth = 16
)

// trail is a way with what the tracer has to say of it.
type trail struct {
	modes.Way
	odds float64
	more bool // chance can lead elsewhere
	open bool // an assumption more would let it go on
}

// Follow implements [modes.Program].
func (p *Program) Follow(node netip.Addr, f modes.Flow) modes.Way {
	if p.Given.State == established {
		return p.established(node, f)
	}
	out := p.decided(p.Given, node, f, nil)
	if !out.more || out.Fate == modes.Undecided {
		return out.Way
	}
	most := maxChances
	if out.Unknown != "" {
		most = maxBoth
	}
	out.Chances = p.chances(node, f, most)
	return out.Way
}

// Leads tells whether chance leads a packet anywhere by its Pick: one of so many that there
// are, or where nothing is chosen, any.
func (p *Program) Leads(node netip.Addr, f modes.Flow) bool {
	if f.Pick == 0 {
		return true
	}
	given := p.Given
	if given.State == established {
		given.State = rules.New // it is chosen for the first packet of a flow
	}
	f.Pick--
	before := p.decided(given, node, f, nil)
	return before.more || before.Fate != modes.ToEndpoint
}

// once follows a packet, with what is assumed of conditions that are not known.
func (p *Program) once(given packet.Given, node netip.Addr, f modes.Flow, assume []bool) (out trail) {
	prog := p.Program
	prog.Given = given
	prog.Given.Assume = assume
	prog.Given.After = func(t *rules.Tracer) { out.odds, out.more, out.open = t.Odds, t.More(), t.Open }
	out.Way = prog.Follow(node, f)
	return out
}

// decided follows a packet to its end, if that does not depend on what is not known:
// both ways on where a condition is met of which nobody knows whether it holds.
func (p *Program) decided(given packet.Given, node netip.Addr, f modes.Flow, assume []bool) trail {
	out := p.once(given, node, f, assume)
	if !out.open || len(assume) == maxUnknown {
		return out
	}
	no := p.decided(given, node, f, append(assume[:len(assume):len(assume)], false))
	yes := p.decided(given, node, f, append(assume[:len(assume):len(assume)], true))
	if same(no.Way, yes.Way) {
		more := no.Unknown
		if no.Unknown = out.Unknown; more != "" {
			no.Unknown += "; " + more
		}
		return no
	}
	out.Unknown = fmt.Sprintf("%s: if it holds, the packet %s; if not, it %s", out.Unknown, end(yes.Way), end(no.Way))
	return out
}

// same tells whether two ways end in the same place.
func same(a, b modes.Way) bool {
	return a.Fate != modes.Undecided && a.Fate == b.Fate && a.To == b.To && a.Seen == b.Seen
}

// end says in a few words where a way ends.
func end(w modes.Way) string {
	switch w.Fate {
	case modes.ToEndpoint:
		return fmt.Sprintf("reaches %s as %s", w.To, w.Seen)
	case modes.Refused:
		return "is refused"
	case modes.Lost:
		return "is dropped"
	case modes.ToNode:
		return "is the node's own"
	case modes.Undecided:
		return "meets what is not known again"
	}
	return fmt.Sprintf("is routed on as from %s", w.Seen)
}

// chances are the ends that chance can lead a packet to. They are told only if they are
// all: where chance decides twice there are more than are tried.
func (p *Program) chances(node netip.Addr, f modes.Flow, most int) (out []modes.Chance) {
	sum := 0.0
	for f.Pick = 0; f.Pick < most; f.Pick++ {
		w := p.decided(p.Given, node, f, nil)
		if w.Fate == modes.Undecided {
			return nil
		}
		out = add(out, modes.Chance{Fate: w.Fate, To: w.To, Probability: w.odds})
		if sum += w.odds; !w.more || sum >= 1-1e-6 {
			break
		}
	}
	if sum < 1-1e-4 || sum > 1+1e-4 {
		return nil
	}
	return out
}

// add counts equal ends together.
func add(list []modes.Chance, c modes.Chance) []modes.Chance {
	for i := range list {
		if list[i].Fate == c.Fate && list[i].To == c.To {
			list[i].Probability += c.Probability
			return list
		}
	}
	return append(list, c)
}

// established follows a packet that is not the first of its flow: what nat did to the first
// one, conntrack does to it.
func (p *Program) established(node netip.Addr, f modes.Flow) modes.Way {
	given := p.Given
	given.State = rules.New
	first := p.decided(given, node, f, nil)
	switch first.Fate {
	case modes.Undecided:
		first.Unknown = "of the flow's first packet: " + first.Unknown
		return first.Way
	case modes.ToEndpoint:
		given.Natted.To = first.To
	case modes.Lost, modes.Refused:
		first.Unknown = "the flow's first packet does not get so far"
		return first.Way
	}
	given.State, given.Natted.Masked = established, first.Masqueraded
	return p.decided(given, node, f, nil).Way
}
