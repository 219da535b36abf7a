package iptablestree

import (
	"cmp"
	"encoding/binary"
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
	leaves       []uint32 // sorted addresses, one for each Service port
}

// NewShape makes the Shape of the tree over leaves of these addresses. It keeps
// and sorts the slice.
func NewShape(fanout int, leaves []uint32) Shape {
	slices.Sort(leaves)
	return Shape{fanout, bits.Len(uint(fanout)) - 1, leaves}
}

// Key is an address as a Shape has it.
func Key(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// Walk is how many rules of KUBE-SERVICES and the tree a packet to an address is
// held against until the first leaf of that address matches, and how many chains
// of the tree it jumps into.
func (s Shape) Walk(addr uint32) (looked, jumps int) {
	leaves, length := s.leaves, 0
	for {
		if s.whole(leaves) {
			return looked + sort.Search(len(leaves), func(i int) bool { return leaves[i] >= addr }) + 1, jumps
		}
		next := s.next(leaves, length)
		for {
			looked++
			n := group(leaves, next)
			if leaves[0]>>(32-next) != addr>>(32-next) {
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

func (s Shape) count(leaves []uint32, length int) (chains, rules int) {
	if s.whole(leaves) {
		return 0, len(leaves)
	}
	next := s.next(leaves, length)
	for len(leaves) > 0 {
		n := group(leaves, next)
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
func (s Shape) whole(leaves []uint32) bool {
	return len(leaves) <= s.fanout || leaves[0] == leaves[len(leaves)-1]
}

// next is the length of the prefixes by which leaves are split that share the
// first bits.
func (s Shape) next(leaves []uint32, length int) int {
	for common := bits.LeadingZeros32(leaves[0] ^ leaves[len(leaves)-1]); length+s.step <= common; {
		length += s.step
	}
	return min(length+s.step, 32)
}

// group is how many of the first leaves share a prefix of that length.
func group(leaves []uint32, length int) int {
	prefix := leaves[0] >> (32 - length)
	n, _ := slices.BinarySearchFunc(leaves, prefix+1, func(leaf, p uint32) int { return cmp.Compare(leaf>>(32-length), p) })
	return n
}
