package workload

import "os"

// Peak watches the largest resident set that this process has from [WatchPeak] on. The zero
// Peak watches, too, by [Peak.Look] alone.
type Peak struct {
	kernel bool  // the kernel's own mark counts from then on
	seen   int64 // the largest that was looked at, bytes
}

// WatchPeak begins to watch. The kernel's mark is the largest resident set since the process
// began, so it is set back here; a kernel that cannot (without CONFIG_PROC_PAGE_MONITOR, or
// with a /proc that is not to be written) leaves it to Look. Who watched before has lost
// the mark.
func WatchPeak() Peak {
	// proc_pid_clear_refs(5): "Reset the peak resident set size".
	return Peak{kernel: os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil}
}

// Look takes note of what is resident now, where the kernel does not watch.
func (p *Peak) Look() {
	if p.kernel {
		return
	}
	if u, err := UsageOf(os.Getpid()); err == nil {
		p.seen = max(p.seen, u.RSS)
	}
}

// Bytes is the largest resident set so far: exactly if the kernel watches, else the largest
// of those that were looked at, now included.
func (p *Peak) Bytes() (int64, error) {
	u, err := UsageOf(os.Getpid())
	if p.kernel {
		return u.PeakRSS, err
	}
	return max(p.seen, u.RSS), err
}
