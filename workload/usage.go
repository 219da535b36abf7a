package workload

import (
	"errors"
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

// SelfCPU is the CPU time of this process so far: user plus system, all threads. It is one
// system call, so that it can stand next to what is timed: to read /proc takes longer than
// the sync of one change.
func SelfCPU() (time.Duration, error) {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0, fmt.Errorf("read own CPU time: %w", err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano()), nil
}

// KernelMemory is what the kernel has allocated for itself, in bytes by kind
// (slab, percpu, vmalloc, page tables, stacks), by /proc/meminfo. It is the whole
// machine's, so only differences over one step mean something, and those only
// where nothing else runs (the guest).
type KernelMemory map[string]int64

// ReadKernelMemory reads it.
func ReadKernelMemory() (KernelMemory, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("read kernel memory: %w", err)
	}
	m, err := fs.Meminfo()
	if err != nil {
		return nil, fmt.Errorf("read kernel memory: %w", err)
	}
	out := KernelMemory{}
	for kind, kb := range map[string]*uint64{
		"slab": m.Slab, "percpu": m.Percpu, "vmalloc": m.VmallocUsed, "page tables": m.PageTables, "stacks": m.KernelStack,
	} {
		if kb != nil {
			out[kind] = int64(*kb) * 1024
		}
	}
	return out, nil
}

// How long memory must not have fallen to be settled, how often that is looked at, what
// counts as falling, and how long is waited at most. (The maps of BPF programs are freed 20 ms
// after the last use.)
const (
	settledFor   = 75 * time.Millisecond
	settledLook  = 15 * time.Millisecond
	settledFall  = 128 << 10
	settledAfter = time.Second
)

// SettledKernelMemory reads it once what was let go of before has been freed, which the
// kernel does in its own time.
func SettledKernelMemory() (KernelMemory, error) {
	begin := time.Now()
	last, err := ReadKernelMemory()
	for since := begin; err == nil && time.Since(since) < settledFor && time.Since(begin) < settledAfter; {
		time.Sleep(settledLook)
		var now KernelMemory
		if now, err = ReadKernelMemory(); err == nil && last.Total()-now.Total() > settledFall {
			since = time.Now()
		}
		last = now
	}
	return last, err
}

// Since is the growth of each kind.
func (k KernelMemory) Since(before KernelMemory) KernelMemory {
	out := KernelMemory{}
	for kind, n := range k {
		out[kind] = n - before[kind]
	}
	return out
}

// Total is the sum of all kinds.
func (k KernelMemory) Total() (sum int64) {
	for _, n := range k {
		sum += n
	}
	return sum
}

// MachineCPU is the CPU time that the machine has spent so far, in seconds by
// kind: user (with nice), system, softirq (with irq), and all of them. It counts
// whatever runs there, and in ticks of the kernel (10 ms); user-mode linux does
// not tell user from system, so there only softirq and all are given.
type MachineCPU map[string]float64

// umlVendor is what user-mode linux calls its CPU (arch/um/kernel/um_arch.c).
const umlVendor = "User Mode Linux"

// ReadMachineCPU reads it from /proc/stat.
func ReadMachineCPU() (MachineCPU, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("read CPU time: %w", err)
	}
	st, err := fs.Stat()
	if err != nil {
		return nil, fmt.Errorf("read CPU time: %w", err)
	}
	c := st.CPUTotal
	m := MachineCPU{"user": c.User + c.Nice, "system": c.System, "softirq": c.SoftIRQ + c.IRQ}
	m["all"] = m["user"] + m["system"] + m["softirq"]
	if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 && cpus[0].VendorID == umlVendor {
		delete(m, "user")
		delete(m, "system")
	}
	return m, nil
}

// ConntrackDrops is how many packets the calling thread's namespace has dropped
// so far, and how many flows it has forgotten early, because its conntrack table
// was full.
func ConntrackDrops() (uint64, error) {
	fs, err := procfs.NewFS("/proc/thread-self")
	if err != nil {
		return 0, fmt.Errorf("read conntrack statistics: %w", err)
	}
	perCPU, err := fs.ConntrackStat()
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // no conntrack, no drops
	}
	if err != nil {
		return 0, fmt.Errorf("read conntrack statistics: %w", err)
	}
	var n uint64
	for _, c := range perCPU {
		n += c.Drop + c.EarlyDrop
	}
	return n, nil
}
