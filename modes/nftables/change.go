package nftables

import "reflect"

// Change is what brings the kernel from one Table to another, in the order in which
// it is carried out: what goes makes room for what comes, and what comes is there
// before anything leads to it.
type Change struct {
	// Remove deletes the whole table first, if it is there.
	Remove bool
	// Create makes the table.
	Create bool

	DelElements []Element
	// EmptyChains lose their rules, since they are to be deleted.
	EmptyChains []string
	// SetChains are there already and get other rules: none at first.
	SetChains   []*Chain
	DelSets     []string
	AddSets     []*Set
	AddChains   []*Chain
	AddElements []Element
	// DelChains are deleted in a transaction of their own: kernels before 6.2 are
	// late to see that a map leads to a chain no more.
	DelChains []string
}

// Empty tells whether there is nothing to do.
func (c *Change) Empty() bool { return reflect.ValueOf(*c).IsZero() }

// Rules is how many rules a Change writes.
func (c *Change) Rules() int {
	n := 0
	for _, list := range [][]*Chain{c.AddChains, c.SetChains} {
		for _, chain := range list {
			n += len(chain.Rules)
		}
	}
	return n
}

// Objects is how many other objects it touches: sets, chains and elements.
func (c *Change) Objects() int {
	return len(c.DelElements) + len(c.AddElements) + len(c.AddSets) + len(c.DelSets) + len(c.AddChains) + len(c.SetChains) + len(c.DelChains)
}

// whole is the Change that makes a Table out of nothing, or, if again, out of
// whatever is there.
func whole(t Table, again bool) *Change {
	return &Change{Remove: again, Create: true, AddSets: t.Sets, AddChains: t.Chains, AddElements: t.Elements}
}
