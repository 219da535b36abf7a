package inside

import (
	"strings"
	"testing"
)

// TestFuzzes: what is fuzzed runs here, not in testbeds, to which those flags do not go.
func TestFuzzes(t *testing.T) {
	for args, want := range map[string]bool{
		"-test.run=^$ -test.fuzz=FuzzRead -test.fuzztime=1m":               true,
		"-test.run=^$ -test.fuzz=FuzzRead -test.fuzzworker":                true,
		"-test.fuzz= -test.fuzzcachedir=/tmp/fuzz":                         false,
		"-test.paniconexit0 -test.timeout=10m0s -test.run=FuzzRead/seed#0": false,
	} {
		if got := fuzzes(strings.Fields(args)); got != want {
			t.Errorf("%s: fuzzed outside: %v", args, got)
		}
	}
}
