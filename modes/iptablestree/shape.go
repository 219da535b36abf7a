package iptablestree

import (
	"math/bits"
	"net/netip"
	"slices"
	"sort"
)

// Shape is the tree over a set of leaves, known by their addresses alone: how
// long a packet's way through it is, and how many chains and rules it has,
// without making them. A test holds it against the real tree.
type Shape struct {
	fanout, step int
	leaves       []netip.Addr // sorted, one for each Service port
}

// NewShape makes the Shape of the tree over leaves of these addresses, all of one family.
// It keeps and sorts the slice.
func NewShape(fanout int, leaves []netip.Addr) Shape {
	slices.SortFunc(leaves, netip.Addr.Compare)
	return Shape{fanout, bits.Len(uint(fanout)) - 1, leaves}
}

// Walk is how many rules of KUBE-SERVICES and the tree a packet to an address is
// held against until the first leaf of that address matches, and how many chains
// of the tree it jumps into.
func (s Shape) Walk(addr netip.Addr) (looked, jumps int) {
	leaves, length := s.leaves, 0
	for {
		if s.whole(leaves) {
			return looked + sort.Search(len(leaves), func(i int) bool { return leaves[i].Compare(addr) >= 0 }) + 1, jumps
		}
		next := s.next(leaves, length)
		for {
			looked++
			prefix, n := group(leaves, next)
			if !prefix.Contains(addr) {
				leaves = leaves[n:]
				continue
			}
			leaves, length = leaves[:n], next
			break
		}
		if len(leaves) == 1 {
			return looked, jumps
		}
		jumps++
	}
}

// Count is how many chains the tree adds to KUBE-SERVICES, and how many rules the
// tree and KUBE-SERVICES hold.
func (s Shape) Count() (chains, rules int) { return s.count(s.leaves, 0) }

func (s Shape) count(leaves []netip.Addr, length int) (chains, rules int) {
	if s.whole(leaves) {
		return 0, len(leaves)
	}
	next := s.next(leaves, length)
	for len(leaves) > 0 {
		_, n := group(leaves, next)
		rules++
		if n > 1 {
			c, r := s.count(leaves[:n], next)
			chains, rules = chains+1+c, rules+r
		}
		leaves = leaves[n:]
	}
	return chains, rules
}

// whole tells whether leaves are not split further.
func (s Shape) whole(leaves []netip.Addr) bool {
	return len(leaves) <= s.fanout || leaves[0] == leaves[len(leaves)-1]
}

// next is the length of the prefixes by which leaves are split that share the
// first bits.
func (s Shape) next(leaves []netip.Addr, length int) int {
	return nextLength(leaves[0], leaves[len(leaves)-1], length, s.step)
}

// group is the prefix of that length of the first leaf, and how many leaves share it.
func group(leaves []netip.Addr, length int) (prefix netip.Prefix, n int) {
	prefix, _ = leaves[0].Prefix(length)
	return prefix, sort.Search(len(leaves), func(i int) bool { return !prefix.Contains(leaves[i]) })
}
