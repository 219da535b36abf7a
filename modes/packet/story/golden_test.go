package story_test

import (
	"fmt"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/story"
)

var _ = golden.Flag()

// TestPrograms holds what each mode puts into the node for the Services of each book
// against what it did before: all kinds of Services, both families, SCTP.
func TestPrograms(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range catalog.All().Serving() {
		var out strings.Builder
		for _, b := range books {
			if mode.Limits.CheckAll(mode.Name, b.Snapshot) != nil {
				continue
			}
			b.Snapshot.Node.Addrs = own
			for _, f := range []modes.Family{modes.IPv4, modes.IPv6} {
				part := b.Snapshot.Of(f)
				if len(part.Services) == 0 {
					continue
				}
				program, err := mode.Plan(nil, b.Snapshot, node(f))
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "## %s, %s\n", b.Name, f)
				if err := program.Write(&out); err != nil {
					t.Fatal(err)
				}
			}
		}
		golden.Check(t, mode.Name+".txt", out.String())
	}
}
