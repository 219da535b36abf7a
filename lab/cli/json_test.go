package cli

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"viplab/lab/kernel"
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

// TestKernelsInJSON: a program reads where a kernel lies, as the table says it, and no time of
// building of one that was never built here.
func TestKernelsInJSON(t *testing.T) {
	var b strings.Builder
	if err := printKernels(&b, []kernel.Kernel{{Name: "debian", Path: "/usr/bin/linux.uml"}}, true); err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(b.String()), &list); err != nil {
		t.Fatal(err)
	}
	if _, built := list[0]["built"]; built || list[0]["path"] != "/usr/bin/linux.uml" || list[0]["name"] != "debian" {
		t.Errorf("%v", list)
	}
}

// TestUnitsInJSON: what a value is of is said by a name that ends in its unit.
func TestUnitsInJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	var churn struct{ Modes []map[string]any }
	if err := json.Unmarshal([]byte(said(t, "simulate", "--what", "churn", "--services", "10", "--modes", "ipvs", "--json")), &churn); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wait_p50_seconds", "wait_p99_seconds", "busy_share", "sync_seconds"} {
		if _, ok := churn.Modes[0][name]; !ok {
			t.Errorf("churn has no %s: %v", name, slices.Sorted(maps.Keys(churn.Modes[0])))
		}
	}
	var advice struct {
		Standings []struct {
			Metric  string
			Leaders []any
		}
	}
	if err := json.Unmarshal([]byte(said(t, "advise", "--services", "10", "--json")), &advice); err != nil {
		t.Fatal(err)
	}
	for _, s := range advice.Standings {
		if !strings.HasSuffix(s.Metric, "_seconds") || s.Leaders == nil { // what can be simulated
			t.Errorf("advice: %+v", s)
		}
	}
	if len(advice.Standings) == 0 {
		t.Error("no advice")
	}
}
