package explain

import (
	"fmt"
	"net/netip"
	"strings"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/packet/dump"
)

// OfRules stands where a mode's name would, for the dumps of a real node.
const OfRules = "rules"

// RulesQuestion is what to explain of the dumps of a real node.
type RulesQuestion struct {
	Dump *dump.Dump
	// Node is what is known of the node. Without addresses it has those of the lab's node.
	Node dump.Node
	// Client is where packets from a client come from; those of a family that it is not of
	// come from the lab's client.
	Client netip.Addr
	// Flows are the packets, Pick and Before what each of them has of a [modes.Flow].
	Flows  []modes.Flow
	Pick   int
	Before netip.Addr
}

// Run answers the question.
func (q RulesQuestion) Run() (Answer, error) {
	a := Answer{Mode: OfRules, Programs: q.Dump.Counts(), Notes: q.Dump.Notes, program: q.Dump}
	if len(q.Node.Addrs) == 0 {
		for _, f := range modes.Dual.Parts() {
			at := topo.Of(f)
			q.Node.Addrs = append(q.Node.Addrs, at.Node.Addr(), at.ToClient.Addr())
		}
		a.Notes = append(a.Notes, fmt.Sprintf("The node's own addresses are taken to be those of the lab's node, %s: --node-addr says them.",
			listed(q.Node.Addrs)))
	}
	if len(q.Flows) == 0 {
		a.Notes = append(a.Notes, "No packet is followed: --packet names one, such as --packet \"client tcp 10.96.0.10:80\".")
	}
	made := map[modes.Family]*dump.Program{}
	for _, f := range q.Flows {
		family := modes.FamilyOf(f.Dst.Addr())
		node, ok := first(q.Node.Addrs, family)
		if !ok {
			return a, fmt.Errorf("%s: the node has no %s address: name one by --node-addr", f, family)
		}
		if made[family] == nil {
			made[family] = q.Dump.Program(family, q.Node)
		}
		f.Pick, f.Before = q.Pick, q.Before
		client := topo.Of(family).Client.Addr()
		if q.Client.IsValid() && modes.FamilyOf(q.Client) == family {
			client = q.Client
		}
		f = f.At(client)
		if !made[family].Leads(node, f) {
			return a, fmt.Errorf("%s: there is no endpoint %d for it: they count from 0", f, q.Pick)
		}
		a.Ways = append(a.Ways, Way{OfRules, f.String(), f, made[family].Follow(node, f)})
	}
	return a, nil
}

func listed(addrs []netip.Addr) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

// first is the first address of a family.
func first(addrs []netip.Addr, f modes.Family) (netip.Addr, bool) {
	for _, a := range addrs {
		if modes.FamilyOf(a) == f {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// fateOfRules says what became of a packet on a node of which only dumps are known: who
// listens there they do not tell.
func fateOfRules(w Way) string {
	switch w.Fate {
	case modes.ToEndpoint:
		return fmt.Sprintf("goes to %s, which sees %s as the sender", w.To, w.Seen)
	case modes.Refused:
		return "refused with an ICMP error or a reset"
	case modes.Lost:
		return "dropped"
	case modes.ToNode:
		return "taken in by the node itself"
	case modes.Undecided:
		return "stops where what comes next is not known: " + w.Unknown
	}
	if w.Masqueraded {
		return fmt.Sprintf("no rule changes its destination: routed on to %s, as from %s", w.Dst.Addr(), w.Seen)
	}
	return "no rule changes it: routed on to " + w.Dst.Addr().String()
}
