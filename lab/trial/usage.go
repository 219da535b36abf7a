package trial

import (
	"time"

	"viplab/modes"
	"viplab/workload"
)

// Usage is the CPU time so far of all that moves packets: this process (client,
// server, and the kernel on their behalf) and the mode's own process.
func (st *Stage) Usage() (time.Duration, error) {
	own, err := workload.SelfCPU()
	if err != nil {
		return 0, err
	}
	p, err := st.ProxyUsage()
	return own + p.CPU, err
}

// ProxyPIDs are the ids of the mode's own processes.
func (st *Stage) ProxyPIDs() []int {
	if p, ok := st.Proxier.(modes.ProcessReporter); ok {
		return p.ProcessIDs()
	}
	return nil
}

// ProxyUsage is the sum over the mode's own processes.
func (st *Stage) ProxyUsage() (sum workload.ProcessUsage, err error) {
	for _, pid := range st.ProxyPIDs() {
		u, err := workload.UsageOf(pid)
		if err != nil {
			return sum, err
		}
		sum.CPU, sum.RSS, sum.PeakRSS = sum.CPU+u.CPU, sum.RSS+u.RSS, sum.PeakRSS+u.PeakRSS
	}
	return sum, nil
}
