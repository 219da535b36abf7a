package modes_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/modes"
)

// TestExec: a tool gets all of its input, from its start, and then its end.
func TestExec(t *testing.T) {
	want := strings.Repeat("-A KUBE-SERVICES\n", 20000)
	got, cost, err := modes.Exec{}.Run(t.Context(), modes.Text(want), "cat")
	if err != nil || string(got) != want {
		t.Fatalf("cat said %.40q and %v", got, err)
	}
	if cost.Bytes != len(want) || cost.ToolCalls != 1 || cost.Encode <= 0 || cost.Start <= 0 || cost.Commit <= 0 {
		t.Errorf("cost %+v", cost)
	}
	for _, in := range []modes.Input{nil, modes.Text("")} {
		if got, _, err := (modes.Exec{}).Run(t.Context(), in, "cat"); err != nil || len(got) > 0 {
			t.Errorf("without input: cat said %q and %v", got, err)
		}
	}
}

// TestExecWithoutInput: what cannot be written whole is not begun.
func TestExecWithoutInput(t *testing.T) {
	marker, broken := filepath.Join(t.TempDir(), "marker"), errors.New("broken")
	_, _, err := modes.Exec{}.Run(t.Context(), func(*bufio.Writer) error { return broken }, "touch", marker)
	if !errors.Is(err, broken) || err.Error() != "write the input of touch: broken" {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(marker); !errors.Is(err, os.ErrNotExist) {
		t.Error("the tool was started")
	}
}

// TestExecFails: the error says what was tried and the tool's first line.
func TestExecFails(t *testing.T) {
	_, _, err := modes.Exec{}.Run(context.Background(), modes.Text("x"), "sh", "-c", "echo no >&2; echo more >&2; exit 3")
	if err == nil || !strings.HasSuffix(err.Error(), "exit status 3: no") {
		t.Errorf("got %v", err)
	}
	_, _, err = modes.Exec{}.Run(context.Background(), modes.Text("x"), "viplab-no-such-tool")
	if !modes.IsMissing(err) {
		t.Errorf("got %v, want a missing tool", err)
	}
}
