package workload

import (
	"runtime"
	"runtime/debug"
)

// Quiet runs a function without garbage collection. Latency probes block in
// system calls that Go's scheduler does not see: a collection that began
// meanwhile would stop the server in this process and wait for the probe, and
// the probe for the server.
func Quiet(fn func() error) error {
	before := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(before)
	runtime.GC() // ends a collection that is under way
	return fn()
}
