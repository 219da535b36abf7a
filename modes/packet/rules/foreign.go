package rules

import (
	"fmt"

	"viplab/modes"
)

// Truth is whether a match holds. Of what the tracer does not know, neither can be said.
type Truth uint8

// Truths.
const (
	No Truth = iota
	Yes
	Unknown
)

// True is the Truth of what is known.
func True(holds bool) Truth {
	if holds {
		return Yes
	}
	return No
}

// Not is the Truth of the contrary.
func (t Truth) Not() Truth {
	switch t {
	case No:
		return Yes
	case Yes:
		return No
	}
	return Unknown
}

// Match is a condition that no mode writes but rules of real nodes have. One that returns
// Unknown has said by [Tracer.Unsure] why.
type Match interface {
	Holds(t *Tracer, p *Packet) Truth
}

// Action is what the target [Other] does.
type Action interface {
	// Apply does it to a packet; done ends the table.
	Apply(t *Tracer, p *Packet) (v Verdict, done bool)
	// Does says what that was, for people.
	Does(p *Packet) string
}

// Foreign is what a rule of a real node has beyond the fields of a [Rule].
type Foreign struct {
	// File and Line say where it stands.
	File string
	Line int
	// Text is the rule as it stands there, without its chain.
	Text    string
	Matches []Match
	// Chance is the probability of -m statistic, above 0; 1 without.
	Chance float64
	Action Action // of Target Other
	// Goto is set for a jump that does not come back (-g).
	Goto bool
}

// place is where the rule stands.
func (f *Foreign) place() string { return fmt.Sprintf("%s:%d", f.File, f.Line) }

// Unsure is the Truth of what is not known; why says what that is, for people.
func (t *Tracer) Unsure(why string) Truth {
	t.why = why
	return Unknown
}

// Why is what the last [Tracer.Unsure] said.
func (t *Tracer) Why() string { return t.why }

// Halt ends the trace, at something of which is not known what it does.
func (t *Tracer) Halt(why string) (Verdict, bool) {
	if t.Stop = why; t.Place != "" {
		t.Stop = t.Place + ": " + why
	}
	return Stopped, true
}

// Chance is a draw that comes out true with a probability, as of -m statistic. Of such
// draws, in the order in which a packet comes to them, Pick says which one does.
func (t *Tracer) Chance(probability float64) bool {
	t.picked++
	if t.picked > t.Pick {
		t.Odds *= probability
		t.more = true
		return true
	}
	t.Odds *= 1 - probability
	return false
}

// Draw is a number from 0 to n-1, each as likely: that which Pick says.
func (t *Tracer) Draw(n int) int {
	t.Odds /= float64(n)
	t.more = t.more || t.Pick+1 < n
	return t.Pick % n
}

// More tells whether chance could have decided in a way that a higher Pick leads to.
func (t *Tracer) More() bool { return t.more }

// maxLooked bounds how many rules a packet is held against: chains that lead into each
// other again and again can be walked for ever, almost.
const maxLooked = 2_000_000

// Tired tells whether the packet has met so many rules that the trace stops.
func (t *Tracer) Tired() bool {
	if t.Rules > maxLooked {
		t.Halt(fmt.Sprintf("more than %d rules", maxLooked))
		return true
	}
	return false
}

// Suppose decides about a condition that is not known, by what is assumed of it. Without
// that the trace stops; ok is false.
func (t *Tracer) Suppose(s modes.Step) (holds, ok bool) {
	why := t.why
	if t.met++; t.met > len(t.Assume) {
		t.Halt(why)
		s.Does = "not known: " + t.Stop
		t.Steps = append(t.Steps, s)
		t.Open = true
		return false, false
	}
	holds = t.Assume[t.met-1]
	s.Does = fmt.Sprintf("not known: %s: %s; here taken as if it %s", t.Place, why, map[bool]string{true: "held", false: "did not hold"}[holds])
	t.Steps = append(t.Steps, s)
	return holds, true
}

// all holds a packet against the matches of a dump. One that does not hold decides, even
// if another is not known.
func (t *Tracer) all(list []Match, p *Packet) Truth {
	out, why := Yes, ""
	for _, m := range list {
		switch m.Holds(t, p) {
		case No:
			return No
		case Unknown:
			if out = Unknown; why == "" {
				why = t.why
			}
		}
	}
	if out == Unknown {
		t.why = why
	}
	return out
}
