package workload

import (
	"testing"
)

// TestMachine: the chase goes through all of the memory before it is back, and every loop
// takes a time that is possible.
func TestMachine(t *testing.T) {
	m := NewMachine()
	at, places := uint32(0), 0
	for {
		places++
		if at = m.next[at]; at == 0 {
			break
		}
	}
	if want := machineBytes / ruleBytes; places != want {
		t.Errorf("the chase goes through %d places of %d", places, want)
	}
	took := m.Measure()
	for _, loop := range Loops() {
		if s := took[loop]; s < 1e-11 || s > 1e-4 {
			t.Errorf("one step of %s took %g s", loop, s)
		}
	}
	if len(took) != len(Loops()) {
		t.Errorf("measured: %v", took)
	}
}
