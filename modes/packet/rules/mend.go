package rules

import (
	"bufio"
	"bytes"
	"maps"
	"slices"
	"strings"
)

// Prefix is what the names of all chains of the modes begin with.
const Prefix = "KUBE-"

// Found is what a table of the kernel's holds of the modes'.
type Found struct {
	// Chains are the names of those that begin with [Prefix].
	Chains []string
	// Hooks are the rules in built-in chains that lead to such chains, as iptables-save
	// writes them, by built-in chain.
	Hooks map[string][]string
}

// Find reads what iptables-save wrote of one table.
func Find(saved []byte) Found {
	f := Found{Hooks: map[string][]string{}}
	for line := range bytes.Lines(saved) {
		switch {
		case bytes.HasPrefix(line, []byte(":"+Prefix)):
			name, _, _ := strings.Cut(string(line[1:]), " ")
			f.Chains = append(f.Chains, name)
		case bytes.HasPrefix(line, []byte("-A ")) && !bytes.HasPrefix(line, []byte("-A "+Prefix)):
			text := strings.TrimSpace(string(line))
			chain, _, _ := strings.Cut(strings.TrimPrefix(text, "-A "), " ")
			if BuiltIn(chain) && strings.HasPrefix(jumpOf(text), Prefix) {
				f.Hooks[chain] = append(f.Hooks[chain], text)
			}
		}
	}
	return f
}

// jumpOf is the target of a rule's text, empty if it has none.
func jumpOf(text string) string {
	_, target, _ := strings.Cut(text[strings.LastIndexByte(text, '"')+1:], "-j ")
	target, _, _ = strings.Cut(target, " ")
	return target
}

// Mend writes the whole of a Ruleset over what was found in its tables, by name: every
// chain of ours is flushed and filled again, whether it changed or not, as kube-proxy did
// before 1.26, and what is found of ours beside it goes. Rules in built-in chains are
// written where they do not lead to the same chains in the same order. It returns how many
// rules it adds or deletes.
func Mend(out *bufio.Writer, found map[string]Found, to Ruleset) (int, error) {
	w := writer{w: out}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		w.mend(name, found[name], to.table(name))
	}
	if w.err == nil {
		w.err = out.Flush()
	}
	return w.rules, w.err
}

func (w *writer) mend(name string, found Found, to Table) {
	keep := map[string]bool{}
	w.text("*", name, "\n")
	for name := range to.names() {
		keep[name] = true
		w.declare(name)
	}
	gone := slices.DeleteFunc(slices.Clone(found.Chains), func(name string) bool { return keep[name] })
	for _, name := range gone {
		w.declare(name)
	}
	w.mendHooks(found.Hooks, to)
	w.each(to, func(c *Chain) {
		for i := range c.Rules {
			w.add(c.Name, &c.Rules[i])
		}
	})
	for _, name := range gone {
		w.remove(name)
	}
	w.text("COMMIT\n")
}

// mendHooks replaces our rules in built-in chains where they are not what they should be.
func (w *writer) mendHooks(hooks map[string][]string, to Table) {
	want := map[string][]Rule{}
	for _, c := range to.Chains {
		if BuiltIn(c.Name) {
			want[c.Name] = c.Rules
		}
	}
	names := slices.Collect(maps.Keys(hooks))
	for _, name := range slices.Collect(maps.Keys(want)) {
		if hooks[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		same := func(text string, r Rule) bool { return jumpOf(text) == r.Chain }
		if slices.EqualFunc(hooks[name], want[name], same) {
			continue
		}
		for _, text := range hooks[name] {
			w.text("-D", strings.TrimPrefix(text, "-A"), "\n")
			w.rules++
		}
		for i := range want[name] {
			w.add(name, &want[name][i])
		}
	}
}
