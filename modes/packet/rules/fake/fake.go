// Package fake is iptables in memory, for tests: it loads what iptables-restore would and
// refuses what the kernel would refuse.
package fake

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Tables are the rules of all chains, by table and chain.
type Tables map[string]map[string][]string

// Load reads restore text as iptables-restore --noflush does. Its error is what the kernel
// would refuse: a chain or rule that is not there, a jump to nowhere.
func (f Tables) Load(text string) error {
	var table map[string][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "COMMIT":
			if err := f.check(table); err != nil {
				return err
			}
			table = nil
		case line[0] == '*':
			if f[line[1:]] == nil {
				f[line[1:]] = map[string][]string{}
				for _, h := range hooks() {
					f[line[1:]][h] = nil
				}
			}
			table = f[line[1:]]
		case line[0] == ':':
			table[verb[1:]] = nil
		case table == nil:
			return fmt.Errorf("%q outside a table", line)
		default:
			if err := edit(table, verb, rest); err != nil {
				return fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return nil
}

func edit(table map[string][]string, verb, rest string) error {
	chain, spec, _ := strings.Cut(rest, " ")
	rules, ok := table[chain]
	if !ok {
		return fmt.Errorf("no chain %s", chain)
	}
	first, more, _ := strings.Cut(spec, " ")
	at, numErr := strconv.Atoi(first)
	switch {
	case verb == "-A":
		table[chain] = append(rules, spec)
	case verb == "-I" && numErr == nil && at >= 1 && at <= len(rules)+1:
		table[chain] = slices.Insert(slices.Clone(rules), at-1, more)
	case verb == "-D" && numErr == nil && at >= 1 && at <= len(rules):
		table[chain] = slices.Delete(slices.Clone(rules), at-1, at)
	case verb == "-D" && numErr != nil && slices.Contains(rules, spec):
		i := slices.Index(rules, spec)
		table[chain] = slices.Delete(slices.Clone(rules), i, i+1)
	case verb == "-X" && len(rules) == 0:
		delete(table, chain)
	default:
		return fmt.Errorf("%s refused with %d rules in the chain", verb, len(rules))
	}
	return nil
}

// check refuses jumps to chains that are not there.
func (f Tables) check(table map[string][]string) error {
	for chain, rules := range table {
		for _, r := range rules {
			target := r[strings.LastIndex(r, "-j ")+3:]
			target, _, _ = strings.Cut(target, " ")
			if strings.HasPrefix(target, "KUBE-") {
				if _, ok := table[target]; !ok {
					return fmt.Errorf("chain %s jumps to %s, which is not there", chain, target)
				}
			}
		}
	}
	return nil
}

// Save writes a table as iptables-save does.
func (f Tables) Save(table string) string {
	var chains, rules strings.Builder
	for _, c := range slices.Sorted(maps.Keys(f[table])) {
		fmt.Fprintf(&chains, ":%s - [0:0]\n", c)
		for _, r := range f[table][c] {
			fmt.Fprintf(&rules, "-A %s %s\n", c, r)
		}
	}
	return "# saved\n*" + table + "\n" + chains.String() + rules.String() + "COMMIT\n"
}

// Dump lists all rules, and chains that are empty, in order. Rules of the hooks are sorted,
// since those of others stand between them.
func (f Tables) Dump() string {
	var b strings.Builder
	for _, t := range slices.Sorted(maps.Keys(f)) {
		for _, c := range slices.Sorted(maps.Keys(f[t])) {
			rules := f[t][c]
			if slices.Contains(hooks(), c) {
				rules = slices.Sorted(slices.Values(rules))
			}
			if !slices.Contains(hooks(), c) || len(rules) > 0 {
				fmt.Fprintf(&b, "%s %s\n", t, c)
			}
			for _, r := range rules {
				fmt.Fprintf(&b, "  %s\n", r)
			}
		}
	}
	return b.String()
}

// hooks are the built-in chains.
func hooks() []string { return []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"} }
