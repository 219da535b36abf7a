package ebpf

import "hash/fnv"

// TableSizes are the sizes that Maglev's tables may have: primes, as the permutations
// need, and the same as Cilium's. A table takes 4 bytes a place and each Service port has
// one, so the default is the smallest; a Service of E endpoints wants about 100 E.
func TableSizes() []int { return []int{251, 509, 1021, 2039, 4093, 8191, 16381} }

// maglev fills a table of a prime size with the ids of some backends, by the permutations
// that follow from their names (Eisenbud et al., "Maglev: A Fast and Reliable Software
// Network Load Balancer", NSDI 2016, section 3.4). All get the same share to within one
// percent at 100 places a backend, and most places keep their backend when one goes.
func maglev(names []string, ids []uint32, size int) []uint32 {
	type walk struct{ at, step uint64 }
	walks := make([]walk, len(names))
	for i, name := range names {
		walks[i] = walk{hash(name, "offset") % uint64(size), 1 + hash(name, "skip")%uint64(size-1)}
	}
	table, taken := make([]uint32, size), make([]bool, size)
	for filled := 0; ; {
		for i := range walks {
			w := &walks[i]
			for taken[w.at] {
				w.at = (w.at + w.step) % uint64(size)
			}
			table[w.at], taken[w.at] = ids[i], true
			if filled++; filled == size {
				return table
			}
		}
	}
}

func hash(name, purpose string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(purpose + name)) // it cannot fail
	return h.Sum64()
}
