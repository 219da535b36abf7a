// Package bench runs a matrix of trials, modes by sizes by rounds, in a testbed,
// and keeps what they measure in a run directory.
package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"viplab/lab/trial"
	"viplab/modes/catalog"
	"viplab/modes/iptablestree"
	"viplab/modes/synth"
)

// Config is what to run. It is written to the run directory as resolved.
type Config struct {
	Services  []int         `yaml:"services"`
	Endpoints int           `yaml:"endpoints"`
	Ports     int           `yaml:"ports"`
	Modes     []string      `yaml:"modes"`
	Testbed   string        `yaml:"testbed"`
	Rounds    int           `yaml:"rounds"`
	Duration  time.Duration `yaml:"duration"` // of the closed loop and each iperf3
	Warmup    int           `yaml:"warmup"`   // packets discarded
	MaxTime   time.Duration `yaml:"max_time"` // 0: no limit
	Seed      uint64        `yaml:"seed"`
	Fanout    int           `yaml:"fanout"`
	Quick     bool          `yaml:"quick"`
}

// Default is a full run at published sizes.
func Default() Config {
	return Config{
		Services: []int{1, 1000, 5000, 20000}, Endpoints: 2, Ports: 1,
		Modes: catalog.Names(), Testbed: "auto", Rounds: 6, Duration: time.Second, Warmup: 10,
		Seed: 1, Fanout: iptablestree.DefaultFanout,
	}
}

// Sweep lists the sizes to measure on the way up to a number of Services.
func Sweep(upTo int) []int {
	if upTo <= 1 {
		return []int{upTo}
	}
	out := []int{1}
	for _, n := range []int{100, 1000, 5000, 20000, 50000, 100000, 200000, 500000} {
		// 100 is of interest only where nothing larger is asked for.
		if n < upTo && (n > 100 || upTo <= 1000) {
			out = append(out, n)
		}
	}
	return append(out, upTo)
}

// quickRounds is too few for intervals; a quick run says so in its report.
const quickRounds = 2

// MakeQuick cuts a configuration down to what ends in two minutes. Sizes that
// the user gave stay.
func (c *Config) MakeQuick(keepSizes, keepRounds bool) {
	c.Quick = true
	if !keepSizes {
		c.Services = []int{1, 1000}
	}
	if !keepRounds {
		c.Rounds = quickRounds
	}
	c.Duration = min(c.Duration, 300*time.Millisecond)
}

// Validate says in one sentence what is wrong.
func (c Config) Validate() error {
	if len(c.Services) == 0 {
		return fmt.Errorf("services: no size given")
	}
	for i, n := range c.Services {
		if slices.Contains(c.Services[:i], n) {
			return fmt.Errorf("services: %d is given twice", n)
		}
		if err := c.synth(n).Validate(); err != nil {
			return err
		}
	}
	if len(c.Modes) == 0 {
		return fmt.Errorf("modes: none given: valid are %v", catalog.Names())
	}
	for i, m := range c.Modes {
		if _, err := catalog.Find(m); err != nil {
			return err
		}
		if slices.Contains(c.Modes[:i], m) {
			return fmt.Errorf("modes: %s is given twice", m)
		}
	}
	switch {
	case c.Rounds < 1 || c.Rounds > 1000:
		return fmt.Errorf("repeat must be 1 to 1000, got %d", c.Rounds)
	case c.Duration < 100*time.Millisecond || c.Duration > time.Hour:
		return fmt.Errorf("duration must be 100ms to 1h, got %s", c.Duration)
	case c.Warmup < 0 || c.Warmup > 10000:
		return fmt.Errorf("warmup must be 0 to 10000 packets, got %d", c.Warmup)
	case c.MaxTime < 0:
		return fmt.Errorf("max-time must not be negative, got %s", c.MaxTime)
	}
	return iptablestree.CheckFanout(c.Fanout)
}

func (c Config) synth(services int) synth.Spec {
	return synth.Spec{Services: services, Endpoints: c.Endpoints, Ports: c.Ports, Seed: c.Seed}
}

// Trials lists all trials, round by round; within a round the sizes rise and
// the modes are in an order drawn from the seed, so that drift of the machine
// hits all modes alike.
func (c Config) Trials() []trial.Spec {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	var out []trial.Spec
	for round := range c.Rounds {
		for _, n := range c.Services {
			order := rng.Perm(len(c.Modes))
			for _, m := range order {
				out = append(out, trial.Spec{
					ID:   fmt.Sprintf("%s-n%d-r%d", c.Modes[m], n, round),
					Mode: c.Modes[m], Round: round, Synth: c.synth(n), Fanout: c.Fanout, Testbed: c.Testbed,
					Plan: c.plan(n),
				})
			}
		}
	}
	return out
}

// plan says how much to measure at a size: cheap steps are repeated within a
// trial, dear ones (a Sync of 20000 Services takes seconds) come once a round.
func (c Config) plan(services int) trial.Plan {
	p := trial.Plan{
		FullSyncs: 1, Deltas: 1, Packets: 40, Warmup: c.Warmup,
		Connect: c.Duration, Workers: 4, Iperf: c.Duration,
	}
	if services <= 1000 {
		p.FullSyncs, p.Deltas = 2, 3
	} else if services <= 5000 {
		p.Deltas = 2
	}
	return p
}
