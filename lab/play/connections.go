package play

import (
	"golang.org/x/sys/unix"
	"viplab/modes"

	"viplab/workload"
)

// keepStep opens connections that live on.
func keepStep() step {
	return step{name: "keep", usage: "N", help: "opens connections that are asked again at the end of the scenario", parse: count,
		check: func(c *course, _ Step) error { c.kept = true; return c.answers() },
		do:    func(p *player, s Step) error { return p.keep(s.N) }}
}

// keep opens connections and leaves them open.
func (p *player) keep(n int) error {
	to := p.dialed(Step{To: ToVIP, Over: modes.TCP})
	return p.Net.Client.Do(func() error {
		for range n {
			fd, err := workload.Open(to)
			if err != nil {
				return err
			}
			p.kept = append(p.kept, fd)
		}
		return nil
	})
}

// keptShare is the share of kept connections that still answer.
func (p *player) keptShare() float64 {
	alive := 0
	_ = p.Net.Client.Do(func() error {
		for _, fd := range p.kept {
			if workload.AskAgain(fd) == nil {
				alive++
			}
		}
		return nil
	})
	return float64(alive) / float64(len(p.kept))
}

// closeKept closes the connections that were kept open.
func (p *player) closeKept() {
	for _, fd := range p.kept {
		_ = unix.Close(fd)
	}
}
