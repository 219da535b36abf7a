package story_test

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/golden"
	"viplab/modes/packet"
	"viplab/modes/packet/story"
	"viplab/modes/rules"
)

var _ = golden.Flag()

// TestPrograms holds what each mode puts into the node for the Services of each book
// against what it did before: all kinds of Services, both families, SCTP.
func TestPrograms(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range catalog.All()[1:] {
		var out strings.Builder
		for _, b := range books {
			for _, f := range []modes.Family{modes.IPv4, modes.IPv6} {
				part := b.Snapshot.Of(f)
				if len(part.Services) == 0 || mode.Limits.Check(mode.Name, part.Services...) != nil {
					continue
				}
				fmt.Fprintf(&out, "## %s, %s\n%s", b.Name, f, program(t, mode.Program(catalog.Options{}, b.Snapshot, node(f))))
			}
		}
		golden.Check(t, mode.Name+".txt", out.String())
	}
}

// program writes a Program, its maps in order.
func program(t *testing.T, p packet.Program) string {
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), rules.Ruleset{}, p.Rules); err != nil {
		t.Fatal(err)
	}
	for _, set := range slices.Sorted(maps.Keys(p.Entries)) {
		for _, e := range slices.Sorted(maps.Keys(p.Entries[set])) {
			fmt.Fprintf(&b, "set %s %s\n", set, e)
		}
	}
	for kind, fronts := range map[string][]string{"server": list(p.Servers, p.Sticky), "portal": list(p.Portals, p.Sticky)} {
		for _, f := range fronts {
			fmt.Fprintf(&b, "%s %s\n", kind, f)
		}
	}
	return b.String()
}

func list[To any](fronts map[packet.Front]To, sticky map[packet.Front]bool) []string {
	var out []string
	for f, to := range fronts {
		out = append(out, fmt.Sprintf("%s %s %v sticky=%t", f.Proto, f.Addr, to, sticky[f]))
	}
	slices.Sort(out)
	return out
}
