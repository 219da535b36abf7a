// Package iptablestree is the mode `iptables-tree`: the leaves of the mode
// iptables (KUBE-SVC-*, KUBE-SEP-*), with KUBE-SERVICES split into a tree of
// chains by VIP prefix, so that a first packet walks O(log N) rules, not O(N).
//
//	KUBE-SERVICES  -d 10.96.0.0/15 -> KUBE-TREE-10.96.0.0-15 -> ... -> leaf rules
//
// # Fan-out
//
// A packet walks on average half of the F rules of a chain on each of
// log N / log F levels, and pays the jump into each level, which costs about as
// much as one or two rules. (F/2 + 1.5)/log2(F) is 1.75 for F = 4, 1.83 for 8,
// 2.4 for 16 and 3.5 for 32: flat at 4 to 8 and then rising. The default is 8:
// as fast as 4, with half as many chains for the control plane to load.
package iptablestree

import (
	"fmt"
	"hash/fnv"
	"math/bits"
	"net/netip"
	"slices"

	"viplab/modes/iptables"
	"viplab/modes/packet/rules"
)

// DefaultFanout is the number of children of a chain; see the package comment.
const DefaultFanout = 8

// MaxFanout bounds the fan-out: above it the tree is hardly one.
const MaxFanout = 256

// New makes the mode's Proxier. The fan-out is a power of two.
func New(fanout int, r iptables.Restorer) *iptables.Proxier {
	return iptables.New(Dispatch(fanout), r)
}

// Dispatch lays the leaves out as a tree. Chains of at most fanout leaves are
// not split, and a level at which all leaves go the same way is skipped.
func Dispatch(fanout int) iptables.Dispatch {
	step := bits.Len(uint(fanout)) - 1
	return func(leaves []rules.Rule) ([]rules.Rule, []*rules.Chain) {
		sorted := slices.Clone(leaves)
		slices.SortStableFunc(sorted, func(a, b rules.Rule) int { return a.Dst.Addr().Compare(b.Dst.Addr()) })
		t := tree{fanout: fanout, step: step}
		top := t.split(sorted, 0)
		return top, t.chains
	}
}

type tree struct {
	fanout, step int
	chains       []*rules.Chain
}

// split makes the rules of one chain: the leaves themselves if they are few,
// else one jump for each prefix of `step` more bits.
func (t *tree) split(leaves []rules.Rule, length int) []rules.Rule {
	if len(leaves) <= t.fanout {
		return slices.Clone(leaves)
	}
	first, last := leaves[0].Dst.Addr(), leaves[len(leaves)-1].Dst.Addr()
	if first == last {
		return slices.Clone(leaves) // many ports of one VIP
	}
	next := nextLength(first, last, length, t.step)
	var out []rules.Rule
	for len(leaves) > 0 {
		prefix, _ := leaves[0].Dst.Addr().Prefix(next)
		n := 1
		for n < len(leaves) && prefix.Contains(leaves[n].Dst.Addr()) {
			n++
		}
		out = append(out, t.child(prefix, leaves[:n], next))
		leaves = leaves[n:]
	}
	return out
}

func (t *tree) child(prefix netip.Prefix, leaves []rules.Rule, length int) rules.Rule {
	if len(leaves) == 1 {
		return leaves[0]
	}
	name := chainName(prefix)
	at := len(t.chains)
	t.chains = append(t.chains, nil) // parents before children
	t.chains[at] = &rules.Chain{Name: name, Rules: t.split(leaves, length)}
	return rules.Rule{Dst: prefix, Chain: name}
}

// nextLength is the length of the prefixes by which the leaves from the first to the last are
// split that share the first bits. It skips the bits that all leaves share, in whole steps
// from the top, so that adding a Service moves as few of the chain names as possible.
func nextLength(first, last netip.Addr, length, step int) int {
	for common := commonBits(first, last); length+step <= common; {
		length += step
	}
	return min(length+step, first.BitLen())
}

func commonBits(a, b netip.Addr) int {
	x, y := a.AsSlice(), b.AsSlice()
	for i := range min(len(x), len(y)) {
		if d := x[i] ^ y[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return a.BitLen()
}

// chainName is the chain for a prefix. A chain's name has at most 28 letters, too
// few for a prefix of IPv6: that is hashed.
func chainName(p netip.Prefix) string {
	if p.Addr().Is4() {
		return fmt.Sprintf("KUBE-TREE-%s-%d", p.Addr(), p.Bits())
	}
	h := fnv.New64a()
	_, _ = h.Write(p.Addr().AsSlice())
	return fmt.Sprintf("KUBE-T6-%016x-%d", h.Sum64(), p.Bits())
}
