// Package bench runs a matrix of trials, modes by sizes by rounds, in a testbed,
// and keeps what they measure in a run directory.
package bench

import (
	"fmt"
	"slices"
	"time"

	"viplab/lab/scenario"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
	"viplab/modes/iptablestree"
	"viplab/modes/ipvs"
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
	Live      time.Duration `yaml:"live"`     // steady client beside periodic full syncs, 0: none
	Churn     float64       `yaml:"churn"`    // changes a second, 0: none
	ChurnFor  time.Duration `yaml:"churn_for"`
	MinSync   time.Duration `yaml:"min_sync_period"`
	MaxTime   time.Duration `yaml:"max_time"` // 0: no limit
	Seed      uint64        `yaml:"seed"`
	Fanout    int           `yaml:"fanout"`
	Sync      []string      `yaml:"sync"`           // update strategies of the iptables modes
	Backends  []string      `yaml:"backends"`       // of the iptables modes
	Binds     []string      `yaml:"binds"`          // of VIPs in mode ipvs
	Policies  []int         `yaml:"policies"`       // filter rules beside the modes' own
	PolicyFor string        `yaml:"policy_packets"` // which packets cross them
	Plain     []int         `yaml:"plain_rules"`    // plain rules to time iptables itself with
	Reuse     bool          `yaml:"reuse"`          // clients that reuse ports, in mode ipvs
	Scheds    []string      `yaml:"schedulers"`     // of mode ipvs
	Forwards  []string      `yaml:"forwards"`       // of mode ipvs
	Lookups   []string      `yaml:"lookups"`        // of mode ipvs
	Families  []string      `yaml:"families"`       // of Services
	Tracking  []string      `yaml:"tracking"`       // by conntrack, of mode ipvs
	Weights   []int         `yaml:"weights"`        // of endpoints, in turn
	Affinity  time.Duration `yaml:"affinity"`       // of Services, 0: none
	Limit     time.Duration `yaml:"sample_limit"`   // of a sequential installation
	SyncLimit time.Duration `yaml:"sync_limit"`     // of one sync, 0: none
	Quick     bool          `yaml:"quick"`
	// Script is a scenario to play instead of measuring.
	Script *scenario.Script `yaml:"-"`
	// Notes say what was changed of what was asked for, and why.
	Notes []string `yaml:"notes,omitempty"`
}

// Default is a full run at published sizes.
func Default() Config {
	return Config{
		Services: []int{1, 1000, 5000, 20000}, Endpoints: 2, Ports: 1,
		Modes: catalog.Names(), Testbed: "auto", Rounds: 6, Duration: time.Second, Warmup: 10,
		Seed: 1, Fanout: iptablestree.DefaultFanout,
		Sync: []string{string(iptables.Partial)}, Backends: []string{iptables.Legacy}, Binds: []string{ipvs.BindAddress}, Scheds: ipvs.Schedulers()[:1],
		Forwards: ipvs.Forwards()[:1], Lookups: ipvs.Lookups()[:1], Families: []string{string(modes.IPv4)}, Tracking: tracking()[:1], Limit: 30 * time.Second,
		Policies: []int{0}, PolicyFor: trial.PolicyNew,
		SyncLimit: 10 * time.Minute,
		ChurnFor:  10 * time.Second, MinSync: time.Second,
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
	if err := c.validateNames(); err != nil {
		return err
	}
	if err := c.validateRules(); err != nil {
		return err
	}
	switch {
	case c.Rounds < 1 || c.Rounds > 1000:
		return fmt.Errorf("repeat must be 1 to 1000, got %d", c.Rounds)
	case c.Duration < 100*time.Millisecond || c.Duration > time.Hour:
		return fmt.Errorf("duration must be 100ms to 1h, got %s", c.Duration)
	case c.Warmup < 0 || c.Warmup > 10000:
		return fmt.Errorf("warmup must be 0 to 10000 packets, got %d", c.Warmup)
	case c.Live < 0 || c.Live > time.Hour || c.Live > 0 && c.Live < time.Second:
		return fmt.Errorf("live must be 1s to 1h, or 0 for none, got %s", c.Live)
	case c.Churn < 0 || c.Churn > 1000:
		return fmt.Errorf("churn must be 0 to 1000 changes a second, got %g", c.Churn)
	case c.ChurnFor < time.Second || c.ChurnFor > time.Hour:
		return fmt.Errorf("churn-for must be 1s to 1h, got %s", c.ChurnFor)
	case c.MinSync < 0 || c.MinSync > time.Hour:
		return fmt.Errorf("min-sync-period must be 0 to 1h, got %s", c.MinSync)
	case c.Limit <= 0:
		return fmt.Errorf("sample-limit must be positive, got %s", c.Limit)
	case c.SyncLimit < 0:
		return fmt.Errorf("sync-limit must not be negative, got %s", c.SyncLimit)
	case c.MaxTime < 0:
		return fmt.Errorf("max-time must not be negative, got %s", c.MaxTime)
	}
	return iptablestree.CheckFanout(c.Fanout)
}

// validateNames checks what is chosen from lists.
func (c Config) validateNames() error {
	for _, err := range []error{
		oneOf("sync", c.Sync, iptables.Strategies()), oneOf("backend", c.Backends, iptables.Backends()),
		oneOf("bind", c.Binds, ipvs.Binds()), oneOf("scheduler", c.Scheds, ipvs.Schedulers()),
		oneOf("forward", c.Forwards, ipvs.Forwards()), oneOf("lookup", c.Lookups, ipvs.Lookups()),
		oneOf("family", c.Families, modes.Families()), oneOf("conntrack", c.Tracking, tracking()),
		oneOf("policy-packets", []string{c.PolicyFor}, trial.PolicyPackets()),
	} {
		if err != nil {
			return err
		}
	}
	if slices.Contains(c.Forwards, ipvs.Tunnel) && !slices.Equal(c.Families, []string{string(modes.IPv4)}) {
		return fmt.Errorf("forward tunnel is for family ipv4 alone: the lab's real servers end no tunnels of IPv6")
	}
	return nil
}

// maxRules bounds rules that are not a mode's: their addresses are 198.18.0.0/15.
const maxRules = 130000

func (c Config) validateRules() error {
	if len(c.Policies) == 0 {
		return fmt.Errorf("policies: none given: 0 is for no policy rule")
	}
	for what, list := range map[string][]int{"policies": c.Policies, "plain-rules": c.Plain} {
		for i, n := range list {
			if n < 0 || n > maxRules || n == 0 && what != "policies" {
				return fmt.Errorf("%s must be up to %d, got %d", what, maxRules, n)
			}
			if slices.Contains(list[:i], n) {
				return fmt.Errorf("%s: %d is given twice", what, n)
			}
		}
	}
	return nil
}

// oneOf checks a list of names against the valid ones.
func oneOf[T ~string](what string, got []string, valid []T) error {
	if len(got) == 0 {
		return fmt.Errorf("%s: none given: valid are %v", what, valid)
	}
	for i, g := range got {
		if !slices.Contains(valid, T(g)) {
			return fmt.Errorf("unknown %s %q: valid are %v", what, g, valid)
		}
		if slices.Contains(got[:i], g) {
			return fmt.Errorf("%s: %s is given twice", what, g)
		}
	}
	return nil
}

// plan says how much to measure at a size: cheap steps are repeated within a
// trial, dear ones (a Sync of 20000 Services takes seconds) come once a round.
func (c Config) plan(services int) trial.Plan {
	if c.Script != nil {
		return trial.Plan{FullSyncs: 1, SyncLimit: c.SyncLimit, Script: c.Script}
	}
	p := trial.Plan{
		FullSyncs: 1, Deltas: 1, Packets: 40, Warmup: c.Warmup,
		Connect: c.Duration, Workers: 4, Iperf: c.Duration, Install: c.Limit, SyncLimit: c.SyncLimit, Live: c.Live,
		ChurnRate: c.Churn, Reuse: c.Reuse, Churn: c.ChurnFor, MinSync: c.MinSync,
	}
	if c.Quick {
		p.Deltas = 2
	} else if services <= 1000 {
		p.FullSyncs, p.Deltas = 2, 3
	} else if services <= 5000 {
		p.Deltas = 2
	}
	return p
}
