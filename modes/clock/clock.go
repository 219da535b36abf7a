// Package clock measures short times at little cost.
//
// Where the kernel's clock can be read without a system call, it is that one. In a guest of
// user-mode-linux each reading is a call, of 14 µs and more, which would be a large part of
// what is measured; there it is the processor's time stamp counter, if that runs at one
// rate whatever the processor does, by a rate that is measured once.
package clock

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/cpuid/v2"
	"github.com/prometheus/procfs"
)

// Instant is a moment, for the process that took it.
type Instant struct {
	at    time.Time
	ticks uint64
}

// Sources of time, as [Source] names them.
const (
	Kernel  = "kernel"
	Counter = "time stamp counter"
)

// Now is this moment.
func Now() Instant {
	if nanoseconds() > 0 {
		return Instant{ticks: cpuid.CPU.RTCounter()}
	}
	return Instant{at: time.Now()}
}

// Since is the time since then.
func Since(i Instant) time.Duration {
	if i.ticks == 0 {
		return time.Since(i.at) // which reads one of the kernel's clocks, Now two
	}
	return Now().Sub(i)
}

// Sub is the time from another Instant to this one.
func (i Instant) Sub(from Instant) time.Duration {
	if rate := nanoseconds(); rate > 0 {
		return time.Duration(float64(int64(i.ticks-from.ticks)) * rate)
	}
	return i.at.Sub(from.at)
}

// Source says where the time comes from. The first call finds that out, which may take a
// tenth of a second, unless one of the others was first.
func Source() string {
	if nanoseconds() > 0 {
		return Counter
	}
	return Kernel
}

// nanoseconds is the length of a tick, 0 where the kernel's clock is used. It is a constant
// of the machine.
var nanoseconds = sync.OnceValue(func() float64 {
	if !cpuid.CPU.Has(cpuid.RDTSCP) || cost() < dear || !steady() {
		return 0
	}
	return rate()
})

// dear is what reading the kernel's clock costs where that takes a system call at least;
// without one it is some 30 ns.
const dear = time.Microsecond

// cost is that of reading the kernel's clock twice, the median of some.
func cost() time.Duration {
	all := make([]time.Duration, 21)
	for i := range all {
		start := time.Now()
		all[i] = time.Since(start)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// steady tells whether the kernel believes the counter to run at one rate, also where the
// processor changes its own or sleeps.
func steady() bool {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return false
	}
	cpus, err := fs.CPUInfo()
	if err != nil || len(cpus) == 0 {
		return false
	}
	for _, flag := range []string{"constant_tsc", "nonstop_tsc"} {
		if !slices.Contains(cpus[0].Flags, flag) {
			return false
		}
	}
	return true
}

// Bounds of the measurement of the rate.
const (
	window = 25 * time.Millisecond
	// apart is by how much two windows may differ: readings are some 10 µs off.
	apart = 0.002
)

// rate is the length of a tick by the kernel's clock, 0 if two measurements disagree.
func rate() float64 {
	at0, ticks0 := both()
	time.Sleep(window)
	at1, ticks1 := both()
	time.Sleep(window)
	at2, ticks2 := both()
	first := float64(at1.Sub(at0)) / float64(ticks1-ticks0)
	second := float64(at2.Sub(at1)) / float64(ticks2-ticks1)
	if !(math.Abs(first/second-1) < apart) {
		return 0
	}
	return float64(at2.Sub(at0)) / float64(ticks2-ticks0)
}

// both reads both clocks at one moment: the pair of some that took the shortest time.
func both() (at time.Time, ticks uint64) {
	shortest := uint64(math.MaxUint64)
	for range 10 {
		before := cpuid.CPU.RTCounter()
		now := time.Now()
		after := cpuid.CPU.RTCounter()
		if after-before < shortest {
			shortest, at, ticks = after-before, now, before+(after-before)/2
		}
	}
	return at, ticks
}
