package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestListsInJSON: a list is one in JSON too, whatever is asked for and however little is in it.
func TestListsInJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := said(t, "runs", "--json"); got != "[]\n" {
		t.Errorf("no runs: %q", got)
	}
	var scenarios []map[string]any
	if err := json.Unmarshal([]byte(said(t, "scenario", "--list", "--json")), &scenarios); err != nil {
		t.Fatalf("scenario --list --json: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(said(t, "scenario", "--list")), "\n")
	if len(scenarios) != len(lines) || !strings.HasPrefix(lines[0], scenarios[0]["scenario"].(string)+" ") {
		t.Errorf("%d scenarios in JSON, of %d: %v", len(scenarios), len(lines), scenarios[0])
	}
}
