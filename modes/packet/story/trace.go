package story

import (
	"fmt"
	"net/netip"
	"slices"

	"viplab/modes"
)

// Hosts are the addresses of one family between which stories play.
type Hosts struct {
	Client netip.Addr
	// Node is by which the node reaches endpoints; the rest of its addresses are the
	// Snapshot's.
	Node netip.Addr
}

// Outcome is a story as it went.
type Outcome struct {
	Story
	Way modes.Way
	// Wrong is what is not as told, "" if all is.
	Wrong string
}

// Trace tells the stories with the tracer, in a mode with some arguments.
func (b Book) Trace(mode modes.Mode, args modes.Args, hosts func(modes.Family) Hosts) ([]Outcome, error) {
	programs := map[modes.Family]modes.Program{}
	for _, f := range modes.Dual.Parts() {
		var err error
		if programs[f], err = mode.Plan(args, b.Snapshot, hosts(f).Node); err != nil {
			return nil, fmt.Errorf("plan %s in mode %s: %w", b.Name, mode.Name, err)
		}
	}
	return b.Follow(programs, mode.InStories(), hosts), nil
}

// Follow tells the stories of a mode with the tracer, in what is programmed for each
// family.
func (b Book) Follow(programs map[modes.Family]modes.Program, mode string, hosts func(modes.Family) Hosts) []Outcome {
	had := map[string]netip.Addr{}
	out := make([]Outcome, len(b.Stories))
	for i, s := range b.Stories {
		family := modes.FamilyOf(s.Flow.Dst.Addr())
		h, f, want := hosts(family), s.Flow.At(hosts(family).Client), s.In(mode)
		if want.Kind == Stays {
			f.Before, f.Pick = had[s.Flow.String()], 1
		}
		w := programs[family].Follow(h.Node, f)
		had[s.Flow.String()] = w.To.Addr()
		isNode := func(a netip.Addr) bool { return a == h.Node || slices.Contains(b.Snapshot.Node.Addrs, a) }
		out[i] = Outcome{s, w, want.wrong(w, f, isNode)}
	}
	return out
}

// wrong says what of a packet's way is not as told.
func (f Fate) wrong(w modes.Way, sent modes.Flow, isNode func(netip.Addr) bool) string {
	came := []modes.Fate{}
	switch f.Kind {
	case Endpoint:
		return f.wrongEndpoint(w, sent, isNode)
	case Stays:
		if w.To.Addr() != sent.Before {
			return fmt.Sprintf("it went from %s to %s", sent.Before, w.To)
		}
		return ""
	case Refused:
		came = []modes.Fate{modes.Refused}
	case Dropped:
		came = []modes.Fate{modes.Lost, modes.Closed}
	case Closed:
		came = []modes.Fate{modes.Closed}
	case Unserved:
		came = []modes.Fate{modes.Unchanged, modes.ToNode, modes.Refused}
	}
	if slices.Contains(came, w.Fate) {
		return ""
	}
	return "the packet came to " + string(w.Fate)
}

func (f Fate) wrongEndpoint(w modes.Way, sent modes.Flow, isNode func(netip.Addr) bool) string {
	to := w.To
	if w.Fate == modes.Unchanged && slices.Contains(f.Endpoints, sent.Dst.Addr()) {
		to = sent.Dst // past the Services
	} else if w.Fate != modes.ToEndpoint {
		return "the packet came to " + string(w.Fate)
	}
	if !slices.Contains(f.Endpoints, to.Addr()) {
		return "the packet came to " + to.String()
	}
	return f.WrongSource(w.Seen, sent.Src.Addr(), sent.Dst.Addr(), isNode)
}
