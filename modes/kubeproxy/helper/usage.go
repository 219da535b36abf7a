package helper

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// usage counts what a sync takes: processor time of this process and of the tools that it
// started, and how many there were.
type usage struct {
	ended chan os.Signal
	cpu   time.Duration
}

// manyTools is how many tools may end before the first is counted.
const manyTools = 1 << 16

// startUsage begins to count. Tools are counted by the signal that each sends when it
// ends: two that end at the same moment would be one, but kube-proxy runs them one by one.
func startUsage() *usage {
	u := &usage{ended: make(chan os.Signal, manyTools)}
	signal.Notify(u.ended, syscall.SIGCHLD)
	u.cpu = cpu()
	return u
}

// stop ends the count.
func (u *usage) stop() reply {
	r := reply{CPUSeconds: (cpu() - u.cpu).Seconds()}
	time.Sleep(time.Millisecond) // the last signal may be on its way
	signal.Stop(u.ended)
	r.ToolCalls = len(u.ended)
	return r
}

// cpu is the processor time so far, of this process and of its children that ended.
func cpu() (sum time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return sum
}
