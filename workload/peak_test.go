package workload

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestPeak: what was resident before one watches is not in the peak, and what was let go of
// since is.
func TestPeak(t *testing.T) {
	const size = 64 << 20
	for name, watch := range map[string]func() Peak{"the kernel's mark": WatchPeak, "by looking": func() Peak { return Peak{} }} {
		t.Run(name, func(t *testing.T) {
			first := watch()
			memory := make([]byte, size)
			for i := 0; i < len(memory); i += 4096 {
				memory[i] = 1
			}
			first.Look()
			runtime.KeepAlive(memory)
			memory = nil
			debug.FreeOSMemory()
			with, err := first.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			second := watch()
			without, err := second.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if with < size || without > with-size/2 {
				t.Errorf("a peak of %d bytes with %d of them in use for a while, %d without", with, size, without)
			}
		})
	}
}
