package rules

import "slices"

// Edit renders what turns one Ruleset into another as input for
// iptables-restore --noflush: chains that are new are declared and filled,
// chains that are gone are flushed and deleted, and a chain that differs in a
// few rules gets only those rules inserted or deleted, by number.
//
// The real kube-proxy (1.26 and later) rewrites the dispatch chain whole
// instead; the rules in the kernel are the same afterwards.
//
// Rules in built-in chains are added and deleted one by one and never by
// number, since other programs put rules there too.
func Edit(from, to Ruleset) Text {
	var w writer
	for _, name := range tableNames(from, to) {
		w.table(name, from.table(name), to.table(name))
	}
	return Text{Bytes: w.b, Rules: w.rules}
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
	if len(added)+len(changed)+len(removed) == 0 {
		return
	}
	if w.b == nil {
		// A rule with its comment takes some 130 bytes; growing by
		// doubling would copy the text of a large Ruleset many times.
		n := 0
		for _, c := range added {
			n += 64 + 140*len(c.Rules)
		}
		w.b = make([]byte, 0, n+4096)
	}
	w.b = append(w.b, '*')
	w.b = append(w.b, name...)
	w.b = append(w.b, '\n')
	for _, c := range added {
		if !BuiltIn(c.Name) {
			w.declare(c.Name)
		}
	}
	for _, c := range removed {
		if !BuiltIn(c.Name) {
			w.declare(c.Name) // flushes it
		}
	}
	for _, c := range added {
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
	w.b = append(w.b, "COMMIT\n"...)
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
