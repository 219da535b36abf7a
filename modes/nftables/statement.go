package nftables

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"viplab/modes"
)

// Statements, beside [Verdict].
type (
	// Reject answers with an ICMP error.
	Reject struct{}
	// SetMark changes bits of the mark: those of Clear are taken away, then those of
	// Flip are turned.
	SetMark struct{ Clear, Flip uint32 }
	// Masquerade gives the packet the node's address as its source.
	Masquerade struct{}
	// Dispatch looks a verdict up.
	Dispatch struct {
		Key Key
		Map string
	}
	// DispatchBy looks a number up, and a verdict by the number.
	DispatchBy struct {
		Key     Key
		Numbers string
		Map     string
	}
	// MarkBy looks a number up and makes it the packet's mark; a packet whose key is
	// not there goes on to the next rule. It stands in for [DispatchBy], which the
	// language of the nft tool does not have.
	MarkBy struct {
		Key Key
		Map string
	}
	// Choose goes on in one of some chains, by chance.
	Choose struct{ Chains []string }
	// Translate rewrites the destination to one of some endpoints, by chance.
	Translate struct{ To []netip.AddrPort }
	// TranslateBy looks the new destination up.
	TranslateBy struct {
		Key Key
		Map string
	}
	// Remember adds the source address to a set with a timeout, or makes it stay
	// longer.
	Remember struct {
		Set     string
		Timeout time.Duration
	}
)

func (Reject) text(modes.Family) string     { return "reject" }
func (Masquerade) text(modes.Family) string { return "masquerade fully-random" }

// orMark and xorMark are the two changes that kube-proxy makes.
func orMark(bits uint32) SetMark  { return SetMark{Clear: bits, Flip: bits} }
func xorMark(bits uint32) SetMark { return SetMark{Flip: bits} }

// newMark gives the packet a mark, whatever it had.
func newMark(to uint32) SetMark { return SetMark{Clear: ^uint32(0), Flip: to} }

func (s SetMark) text(modes.Family) string {
	switch s.Clear {
	case 0:
		return fmt.Sprintf("mark set mark xor %#x", s.Flip)
	case s.Flip:
		return fmt.Sprintf("mark set mark or %#x", s.Flip)
	}
	return fmt.Sprintf("mark set %#x", s.Flip)
}

func (s Dispatch) text(f modes.Family) string { return s.Key.text(f) + " vmap @" + s.Map }

func (s DispatchBy) text(f modes.Family) string {
	return s.Key.text(f) + " map @" + s.Numbers + " vmap @" + s.Map
}

func (s MarkBy) text(f modes.Family) string {
	return "meta mark set " + s.Key.text(f) + " map @" + s.Map
}

func (s Choose) text(modes.Family) string {
	var list []string
	for i, c := range s.Chains {
		list = append(list, fmt.Sprintf("%d : goto %s", i, c))
	}
	return fmt.Sprintf("numgen random mod %d vmap { %s }", len(s.Chains), strings.Join(list, " , "))
}

func (s Translate) text(f modes.Family) string {
	if len(s.To) == 1 {
		return "dnat to " + s.To[0].String()
	}
	var list []string
	for i, to := range s.To {
		list = append(list, fmt.Sprintf("%d : %s . %d", i, to.Addr(), to.Port()))
	}
	return fmt.Sprintf("dnat %s to numgen random mod %d map { %s }", network(f), len(s.To), strings.Join(list, ", "))
}

func (s TranslateBy) text(f modes.Family) string {
	return "dnat " + network(f) + " to " + s.Key.text(f) + " map @" + s.Map
}

func (s Remember) text(f modes.Family) string {
	return "update @" + s.Set + " { " + network(f) + " saddr }"
}
