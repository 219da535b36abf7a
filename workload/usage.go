package workload

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// ProcessUsage is what a process has used so far.
type ProcessUsage struct {
	CPU     time.Duration // user plus system, all threads
	RSS     int64         // resident set now, bytes
	PeakRSS int64         // largest resident set so far, bytes
}

// UsageOf reads the usage of another process.
func UsageOf(pid int) (ProcessUsage, error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return ProcessUsage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return ProcessUsage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	status, err := proc.NewStatus()
	if err != nil {
		return ProcessUsage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	return ProcessUsage{
		CPU:     time.Duration(stat.CPUTime() * float64(time.Second)),
		RSS:     int64(status.VmRSS),
		PeakRSS: int64(status.VmHWM),
	}, nil
}

// SelfUsage reads the usage of this process.
func SelfUsage() (ProcessUsage, error) {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return ProcessUsage{}, fmt.Errorf("read own usage: %w", err)
	}
	u, err := UsageOf(os.Getpid())
	u.CPU = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	return u, err
}

// KernelMemory is what the kernel has allocated for itself, in bytes, by
// /proc/meminfo: slab, per-CPU areas, vmalloc, page tables and kernel stacks.
// It is the whole machine's, so only differences over one step mean something,
// and those only where nothing else runs (the guest).
func KernelMemory() (int64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, fmt.Errorf("read kernel memory: %w", err)
	}
	m, err := fs.Meminfo()
	if err != nil {
		return 0, fmt.Errorf("read kernel memory: %w", err)
	}
	var sum uint64
	for _, kb := range []*uint64{m.Slab, m.Percpu, m.VmallocUsed, m.PageTables, m.KernelStack} {
		if kb != nil {
			sum += *kb * 1024
		}
	}
	return int64(sum), nil
}
