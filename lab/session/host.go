package session

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// hostLoad is how busy the machine is: the load average of one minute, and CPU
// seconds so far, stolen ones apart. What cannot be read is zero.
type hostLoad struct{ load, steal, total float64 }

func readHostLoad() (h hostLoad) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return h
	}
	if l, err := fs.LoadAvg(); err == nil {
		h.load = l.Load1
	}
	if st, err := fs.Stat(); err == nil {
		c := st.CPUTotal
		h.steal = c.Steal
		h.total = c.User + c.Nice + c.System + c.Idle + c.Iowait + c.IRQ + c.SoftIRQ + c.Steal
	}
	return h
}

// stepTolerance is how far wall clock and monotonic clock may part during a
// trial: a clock that is slewed by 500 parts in a million for two minutes gains
// 60 ms.
const stepTolerance = 100 * time.Millisecond

// clockStep says by how much the wall clock was stepped during a trial of which
// the wall clock and the monotonic clock each say how long it took; empty if it
// was not. Durations are measured by the monotonic clock, but what runs beside
// (timers of tools, of conntrack) may go by the other.
func clockStep(wall, monotonic time.Duration) string {
	if d := wall - monotonic; d.Abs() > stepTolerance {
		return fmt.Sprintf("the machine's clock was stepped by %s meanwhile", d.Round(time.Millisecond))
	}
	return ""
}
