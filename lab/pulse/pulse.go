// Package pulse notices that a process stood still: that it, or the guest around it, was
// stopped, or the whole machine suspended. What was timed meanwhile is no figure of what is
// measured.
package pulse

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"viplab/workload"
)

// Bounds of a pulse that beats: a beat is due every beatEvery, and one that comes more than
// stillFor late says that the process stood still. A busy machine lets a thread that slept
// wait for some tens of milliseconds, seldom for more than a hundred.
const (
	beatEvery = 250 * time.Millisecond
	stillFor  = time.Second
)

// Pulse watches the process that it is in.
type Pulse struct {
	now  func() (beat, error)
	stop chan struct{}

	mu               sync.Mutex
	last             beat
	still, suspended time.Duration // since the last Take, of all gaps together
}

// beat is a moment, by the clock that stands still while the machine is suspended and by the
// one that does not, and how much CPU time was used until then.
type beat struct{ monotonic, boot, busy time.Duration }

// Start begins to watch. [Pulse.Stop] ends it.
func Start() *Pulse {
	p := &Pulse{now: readBeat, stop: make(chan struct{})}
	p.last, _ = p.now()
	go p.run()
	return p
}

func (p *Pulse) run() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.beat()
		case <-p.stop:
			return
		}
	}
}

// Stop ends the watch.
func (p *Pulse) Stop() { close(p.stop) }

// beat takes one beat. One that is late because something else was computing all the time
// (one CPU, and a kernel that cannot be preempted) is none to worry about.
func (p *Pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.now()
	if err != nil {
		return
	}
	late := now.monotonic - p.last.monotonic - beatEvery
	if late > stillFor && now.busy-p.last.busy < late/2 {
		p.still += late
	}
	if away := (now.boot - p.last.boot) - (now.monotonic - p.last.monotonic); away > beatEvery {
		p.suspended += away
	}
	p.last = now
}

// Take says why what was timed since the last Take is to be set aside, empty if it is not.
func (p *Pulse) Take() string {
	p.beat()
	p.mu.Lock()
	defer p.mu.Unlock()
	still, suspended := p.still, p.suspended
	p.still, p.suspended = 0, 0
	switch {
	case suspended > 0:
		return fmt.Sprintf("the machine was suspended for %s meanwhile", suspended.Round(100*time.Millisecond))
	case still > 0:
		return fmt.Sprintf("the machine stood still for %s meanwhile (stopped, or so busy that nothing of the lab could run)", still.Round(100*time.Millisecond))
	}
	return ""
}

// readBeat is the present moment.
func readBeat() (b beat, err error) {
	for clock, to := range map[int32]*time.Duration{unix.CLOCK_MONOTONIC: &b.monotonic, unix.CLOCK_BOOTTIME: &b.boot} {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return b, fmt.Errorf("read clock %d: %w", clock, err)
		}
		*to = time.Duration(ts.Nano())
	}
	if runtime.NumCPU() == 1 {
		// Whatever computes keeps everything else from running.
		cpu, err := workload.ReadMachineCPU()
		b.busy = time.Duration(cpu["all"] * float64(time.Second))
		return b, err
	}
	b.busy, err = workload.SelfCPU()
	return b, err
}
