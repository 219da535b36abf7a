package workload

import (
	"runtime"
	"runtime/debug"
)

// blockers is how many threads may block at once without the scheduler knowing:
// the clients of [Connect], the server, and some to spare.
const blockers = 8

// Quiet runs a function without garbage collection. Latency probes block in
// system calls that Go's scheduler does not see: a collection that began
// meanwhile would stop the server in this process and wait for the probe, and
// the probe for the server. It also sees to it that there are enough processors,
// in Go's sense, for the threads that block unseen.
func Quiet(fn func() error) error {
	enoughProcessors()
	before := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(before)
	if before >= 0 {
		runtime.GC() // ends a collection that is under way
	}
	return fn()
}

// enoughProcessors gives Go's scheduler a processor for each thread that may block. In a
// guest of one CPU it has one, and a server beside clients was seen to get none for
// two seconds while this process started another.
func enoughProcessors() {
	if runtime.GOMAXPROCS(0) < blockers {
		runtime.GOMAXPROCS(blockers)
	}
}
