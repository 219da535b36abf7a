package testbed

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"viplab/lab/kernel"
	"viplab/modes"
)

// TestTimeTravel sleeps for five minutes in seconds, twice to the same microsecond.
func TestTimeTravel(t *testing.T) {
	k, err := kernel.Newest()
	if modes.IsMissing(err) {
		t.Skipf("SKIPPED: time travel: %v", err)
	}
	tb := WithKernel(k)
	tb.TimeTravel = true
	if err := tb.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: time travel: %v", err)
	}
	var slept [2]float64
	start := time.Now()
	for i := range slept {
		var out bytes.Buffer
		code, err := tb.Run(t.Context(), Command{Args: []string{"/bin/sh", "-c", "date +%s.%N; sleep 300; date +%s.%N"}, Stdout: &out})
		if err != nil || code != 0 {
			t.Fatal(code, err)
		}
		times := strings.Fields(out.String())
		from, _ := strconv.ParseFloat(times[0], 64)
		to, err := strconv.ParseFloat(times[1], 64)
		if err != nil || int(from) != travelStart/1e9 {
			t.Errorf("it started at %s, %v", times[0], err)
		}
		slept[i] = to - from
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	// A page that the host has not read yet makes a command wait a little.
	if d := slept[1] - slept[0]; slept[0] < 300 || slept[0] > 300.001 || d > 5e-6 || d < -5e-6 {
		t.Errorf("slept %.7f s, %.7f s", slept[0], slept[1])
	}
}

// TestNoTimeTravel: a kernel without it is told, with what to do.
func TestNoTimeTravel(t *testing.T) {
	k, err := kernel.Packaged(t.Context())
	if err != nil {
		t.Skipf("SKIPPED: a kernel without time travel: %v", err)
	}
	tb := WithKernel(k)
	tb.TimeTravel = true
	if err := tb.Probe(t.Context()); !modes.IsMissing(err) || !strings.Contains(err.Error(), "viplab kernel build") {
		t.Errorf("got %v", err)
	}
}
