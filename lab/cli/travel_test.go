package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"viplab/lab/kernel"
	"viplab/modes"
)

// TestScenarioInTimeTravel plays it in seconds, twice with the same end, and tells no
// costs.
func TestScenarioInTimeTravel(t *testing.T) {
	k, err := kernel.Newest()
	if err == nil {
		err = k.Takes(t.Context(), kernel.TimeTravel())
	}
	if modes.IsMissing(err) {
		t.Skipf("SKIPPED: scenarios in time travel: %v", err)
	}
	var seen [2]map[string]map[string]map[string]float64
	start := time.Now()
	for i := range seen {
		dir := filepath.Join(t.TempDir(), "out")
		cmd := program(t, "scenario", "--time-travel", "--kernel", k.Name, "--json", "--out", dir, "--progress", "none", "--modes", "direct,iptables", "silence")
		out, err := cmd.Output()
		var played []struct {
			Quantities map[string]map[string]map[string]float64 `json:"quantities"`
		}
		if err != nil || json.Unmarshal(out, &played) != nil || len(played) != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		seen[i] = played[0].Quantities
	}
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("it took %s", took)
	}
	for mode, phases := range seen[0] {
		after := phases["after"]
		if _, ok := after["p99"]; ok {
			t.Errorf("%s: a cost was measured where computing takes no time", mode)
		}
		if phases["end"]["kept"] != 1 || after["failed"] != 0 {
			t.Errorf("%s: %v", mode, phases)
		}
		again := seen[1][mode]["after"]
		if d := after["stall"] - again["stall"]; d > 1e-3 || d < -1e-3 || after["failed"] != again["failed"] {
			t.Errorf("%s: %v, and then %v", mode, after, again)
		}
	}
	if len(seen[0]) != 2 {
		t.Errorf("modes played: %v", seen[0])
	}
}

// TestTimeTravelElsewhere: it is for guests, and not for measuring.
func TestTimeTravelElsewhere(t *testing.T) {
	t.Chdir(t.TempDir())
	code, _, stderr := run(t, strings.Fields("scenario --time-travel --testbed native scale-out")...)
	if code != ExitUsage || !strings.Contains(stderr, "guests only") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	file := write(t, "c.yaml", "time-travel: true\n")
	code, _, stderr = run(t, "bench", "--config", file)
	if code != ExitUsage || !strings.Contains(stderr, "nothing can be measured") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
