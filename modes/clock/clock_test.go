package clock

import (
	"math"
	"testing"
	"time"

	"github.com/klauspost/cpuid/v2"
)

// TestAgrees: whatever the source, a time is what the kernel's clock says.
func TestAgrees(t *testing.T) {
	outer := time.Now()
	start := Now()
	inner := time.Now()
	time.Sleep(20 * time.Millisecond)
	least := time.Since(inner)
	took := Since(start)
	most := time.Since(outer)
	// The rate is right to a few thousandths.
	if float64(took) < 0.99*float64(least) || float64(took) > 1.01*float64(most) {
		t.Errorf("%s by the clock (%s), %s to %s by the kernel", took, Source(), least, most)
	}
}

// TestCounter: the counter's rate, wherever the kernel's clock is cheap and so is not asked
// for it, agrees with that clock as well.
func TestCounter(t *testing.T) {
	if !cpuid.CPU.Has(cpuid.RDTSCP) || !steady() {
		t.Skip("SKIPPED: a time stamp counter of one rate, which this processor lacks")
	}
	tick := rate()
	if tick == 0 {
		t.Skip("SKIPPED: the rate of the time stamp counter, which could not be measured twice alike")
	}
	at0, ticks0 := both()
	time.Sleep(50 * time.Millisecond)
	at1, ticks1 := both()
	if off := math.Abs(float64(ticks1-ticks0)*tick/float64(at1.Sub(at0)) - 1); off > 0.01 {
		t.Errorf("a tick of %.4f ns is off by %.4f", tick, off)
	}
}

// TestCheap: the kernel's clock is used where it costs nothing.
func TestCheap(t *testing.T) {
	if (cost() < dear) != (Source() == Kernel) && steady() && nanoseconds() != 0 {
		t.Errorf("reading the kernel's clock costs %s, and the source is the %s", cost(), Source())
	}
}
