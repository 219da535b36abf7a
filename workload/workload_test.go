package workload

import (
	"errors"
	"os"
	"testing"
	"time"
)

func TestParseIperf(t *testing.T) {
	good := `{"start":{},"end":{"sum_sent":{"retransmits":3},"sum_received":{"bits_per_second":5.5e9}}}`
	got, err := parseIperf([]byte(good))
	if err != nil || got.BitsPerSecond != 5.5e9 || got.Retransmits != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", `{"error":"unable to connect"}`, "[1]", `{"end":{"sum_received":{"bits_per_second":0}}}`} {
		if _, err := parseIperf([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParseIperf(f *testing.F) {
	f.Add([]byte(`{"end":{"sum_received":{"bits_per_second":1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parseIperf(b); err == nil && got.BitsPerSecond <= 0 {
			t.Errorf("accepted %v", got)
		}
	})
}

// TestSelfCPU: to read the own CPU time reads nothing else, which would be in the CPU time
// of what is between two readings. Reading /proc allocates.
func TestSelfCPU(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() { _, _ = SelfCPU() }); n > 1 {
		t.Errorf("%g allocations", n)
	}
}

func TestUsage(t *testing.T) {
	before, err := SelfCPU()
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 60*time.Millisecond; {
	}
	after, err := SelfCPU()
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("CPU time %s before, %s after", before, after)
	}
	if u, err := UsageOf(os.Getpid()); err != nil || u.CPU <= 0 || u.RSS <= 0 || u.PeakRSS < u.RSS/2 {
		t.Errorf("own usage %+v, %v", u, err)
	}
	if k, err := ReadKernelMemory(); err != nil || k.Total() <= 0 || k.Since(k).Total() != 0 {
		t.Errorf("kernel memory %v, %v", k, err)
	}
	if c, err := ReadMachineCPU(); err != nil || c["all"] <= 0 {
		t.Errorf("CPU time %v, %v", c, err)
	}
	if _, err := UsageOf(1 << 30); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a process that is not there: %v", err)
	}
}
