package rules

import (
	"bufio"
	"slices"
)

// Edit writes what turns one Ruleset into another as input for
// iptables-restore --noflush: chains that are new are declared and filled,
// chains that are gone are flushed and deleted, and a chain that differs in a
// few rules gets only those rules inserted or deleted, by number. It writes
// nothing when nothing differs, and returns how many rules it adds or deletes.
//
// The real kube-proxy (1.26 and later) rewrites the dispatch chain whole
// instead; the rules in the kernel are the same afterwards.
//
// Rules in built-in chains are added and deleted one by one and never by
// number, since other programs put rules there too. What a table's More yields
// is taken as new in to and as gone in from: one of the two has none.
func Edit(out *bufio.Writer, from, to Ruleset) (int, error) {
	w := writer{w: out}
	for _, name := range tableNames(from, to) {
		w.table(name, from.table(name), to.table(name))
	}
	if w.err == nil {
		w.err = out.Flush()
	}
	return w.rules, w.err
}

// Same tells whether Edit would write nothing.
func Same(from, to Ruleset) bool {
	for _, name := range tableNames(from, to) {
		f, t := from.table(name), to.table(name)
		added, changed, removed := compare(f, t)
		if len(added)+len(changed)+len(removed) > 0 || f.More != nil || t.More != nil {
			return false
		}
	}
	return true
}

func tableNames(from, to Ruleset) []string {
	var out []string
	for _, rs := range []Ruleset{to, from} {
		for _, t := range rs.Tables {
			if !slices.Contains(out, t.Name) {
				out = append(out, t.Name)
			}
		}
	}
	return out
}

func (r Ruleset) table(name string) Table {
	for _, t := range r.Tables {
		if t.Name == name {
			return t
		}
	}
	return Table{Name: name}
}

// pair is a chain that both Rulesets have, with different rules.
type pair struct{ from, to *Chain }

func (w *writer) table(name string, from, to Table) {
	added, changed, removed := compare(from, to)
	if len(added)+len(changed)+len(removed) == 0 && from.More == nil && to.More == nil {
		return
	}
	w.text("*", name, "\n")
	for name := range (Table{Chains: added, Names: to.Names}).names() {
		w.declare(name)
	}
	// Declaring a chain that exists flushes it.
	for name := range (Table{Chains: removed, Names: from.Names}).names() {
		w.declare(name)
	}
	for c := range (Table{Chains: added, More: to.More}).All() {
		for i := range c.Rules {
			w.add(c.Name, &c.Rules[i])
		}
	}
	for _, p := range changed {
		w.edit(p)
	}
	for _, c := range removed {
		w.drop(c)
	}
	w.each(Table{More: from.More}, func(c *Chain) {
		w.remove(c.Name)
		w.rules += len(c.Rules)
	})
	w.text("COMMIT\n")
}

// each calls fn for the chains of a table that are not built in.
func (w *writer) each(t Table, fn func(*Chain)) {
	for c := range t.All() {
		if !BuiltIn(c.Name) {
			fn(c)
		}
	}
}

func compare(from, to Table) (added []*Chain, changed []pair, removed []*Chain) {
	old := make(map[string]*Chain, len(from.Chains))
	for _, c := range from.Chains {
		old[c.Name] = c
	}
	for _, c := range to.Chains {
		o, ok := old[c.Name]
		switch {
		case !ok:
			added = append(added, c)
			continue
		case o != c && !slices.Equal(o.Rules, c.Rules):
			changed = append(changed, pair{o, c})
		}
		delete(old, c.Name)
	}
	if len(old) > 0 {
		for _, c := range from.Chains {
			if old[c.Name] != nil {
				removed = append(removed, c)
			}
		}
	}
	return added, changed, removed
}

// drop deletes a chain, which was flushed before, or our rules in a hook.
func (w *writer) drop(c *Chain) {
	if !BuiltIn(c.Name) {
		w.remove(c.Name)
		w.rules += len(c.Rules)
		return
	}
	for i := range c.Rules {
		w.deleteRule(c.Name, &c.Rules[i])
	}
}

// window is how far apart two lists may drift before edit gives up matching
// them up and rewrites the rest.
const window = 8

func (w *writer) edit(p pair) {
	if BuiltIn(p.to.Name) {
		w.drop(p.from)
		for i := range p.to.Rules {
			w.add(p.to.Name, &p.to.Rules[i])
		}
		return
	}
	a, b, at := p.from.Rules, p.to.Rules, 1 // at: rule number in the kernel
	for len(a) > 0 || len(b) > 0 {
		if len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			a, b, at = a[1:], b[1:], at+1
			continue
		}
		del, ins := nextMatch(a, b)
		for range del {
			w.deleteAt(p.to.Name, at)
		}
		for i := range ins {
			w.insert(p.to.Name, at, &b[i])
			at++
		}
		a, b = a[del:], b[ins:]
	}
}

// nextMatch says how many rules to delete from a and insert from b until both
// go on with the same rule. Without such a place nearby it is all of both.
func nextMatch(a, b []Rule) (del, ins int) {
	for sum := 1; sum <= 2*window; sum++ {
		for d := range min(sum, len(a)) + 1 {
			i := sum - d
			if i > len(b) {
				continue
			}
			if d < len(a) && i < len(b) && a[d] == b[i] {
				return d, i
			}
		}
	}
	return len(a), len(b)
}
