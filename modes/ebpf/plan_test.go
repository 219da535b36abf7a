package ebpf

import (
	"fmt"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/story"
)

var _ = golden.Flag()

// TestTables holds what Maglev's tables hold for the Services of each book of stories against
// what they did before. Random choice is with the stories of all modes.
func TestTables(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, b := range books {
		for _, f := range modes.Dual.Parts() {
			part := b.Snapshot.Of(f)
			if len(part.Services) == 0 || Limits().CheckAll(Name, part) != nil {
				continue
			}
			fmt.Fprintf(&out, "## %s, %s\n", b.Name, f)
			if err := NewProgram(Options{Family: f, Select: Maglev}, part).Write(&out); err != nil {
				t.Fatal(err)
			}
		}
	}
	golden.Check(t, "maglev.txt", out.String())
}
