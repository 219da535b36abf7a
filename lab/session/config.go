package session

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"viplab/lab/kernel"
	"viplab/lab/play"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/snapshot/synth"
	"viplab/results"
)

// Config is what to run. It is written to the run directory as resolved. Its keys are
// the names of the flags.
type Config struct {
	Services  []int           `yaml:"services"`
	Endpoints int             `yaml:"endpoints"`
	Ports     int             `yaml:"ports"`
	Modes     []string        `yaml:"modes"`
	Testbed   string          `yaml:"testbed"`
	Kernels   []string        `yaml:"kernel"`     // of the guest
	CPUs      []int           `yaml:"cpus"`       // of the guest
	OnMissing string          `yaml:"on-missing"` // what to do about a mode that the kernel lacks
	Repeat    int             `yaml:"repeat"`     // rounds through the matrix
	Precision results.Portion `yaml:"precision"`  // asked of the main figures, as a share of their median; 0: none
	Duration  time.Duration   `yaml:"duration"`   // of the closed loop and each iperf3
	Warmup    int             `yaml:"warmup"`     // packets discarded
	Live      time.Duration   `yaml:"live"`       // steady client beside periodic full syncs, 0: none
	Churn     float64         `yaml:"churn"`      // changes a second, 0: none
	ChurnFor  time.Duration   `yaml:"churn-for"`
	MinSync   time.Duration   `yaml:"min-sync-period"`
	MaxTime   time.Duration   `yaml:"max-time"` // 0: no limit
	Seed      uint64          `yaml:"seed"`
	Policies  []int           `yaml:"policies"`       // filter rules beside the modes' own
	PolicyFor string          `yaml:"policy-packets"` // which packets cross them
	Plain     []int           `yaml:"plain-rules"`    // plain rules to time iptables itself with
	Reuse     bool            `yaml:"reuse"`          // clients that reuse ports
	Families  []string        `yaml:"family"`         // of Services
	Weights   []int           `yaml:"weights"`        // of endpoints, in turn
	Affinity  time.Duration   `yaml:"affinity"`       // of Services, 0: none
	Limit     time.Duration   `yaml:"sample-limit"`   // of an installation by one call an object
	SyncLimit time.Duration   `yaml:"sync-limit"`     // of one sync, 0: none
	Quick     bool            `yaml:"quick"`
	// Params are values of the modes' own parameters that are to be compared, by name.
	Params map[string]Values `yaml:",inline"`
	// TimeTravel plays a scenario in a guest whose time passes by itself.
	TimeTravel bool `yaml:"time-travel,omitempty"`
	// Script is a scenario to play instead of measuring.
	Script *play.Script `yaml:"-"`

	Input   `yaml:",inline"`
	Written `yaml:",inline"`
}

// Written is what a run adds to its configuration.
type Written struct {
	// Command is what ran, word by word.
	Command []string `yaml:"command,omitempty"`
	// Scenario is the name of the one that was played, which cannot be gone on with.
	Scenario string `yaml:"scenario,omitempty"`
	// Notes say what was changed of what was asked for, and why.
	Notes []string `yaml:"notes,omitempty"`
	// Limits are sentences on what the run's figures do not say.
	Limits []string `yaml:"limits,omitempty"`
	// Variants lists what was compared, in order, as records name it.
	Variants []map[string]string `yaml:"variants,omitempty"`
	// Baseline is the mode that the others are measured against.
	Baseline     string `yaml:"baseline,omitempty"`
	InputWritten `yaml:",inline"`
}

// KernelAuto stands for the newest built kernel that can run all modes, else the packaged
// one.
const KernelAuto = "auto"

// What to do about a mode that the testbed's kernel lacks.
const (
	OnMissingFail     = "fail"
	OnMissingSkip     = "skip"
	OnMissingFallback = "fallback"
)

// Default is a full run at published sizes of all modes of a catalog.
func Default(known catalog.Catalog) Config {
	return Config{
		Services: []int{1, 1000, 5000, 20000}, Endpoints: 2, Ports: 1,
		Modes: known.Usual().Names(), Testbed: testbed.Auto, Kernels: []string{KernelAuto}, CPUs: []int{1}, OnMissing: OnMissingFail, Repeat: 6, Duration: 300 * time.Millisecond, Warmup: 10,
		Seed: 1, Families: []string{string(modes.IPv4)}, Limit: 30 * time.Second,
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
		c.Repeat = quickRounds
	}
	c.Precision = 0
	c.Duration = min(c.Duration, 200*time.Millisecond)
}

// Validate says in one sentence what is wrong, for modes of a catalog.
func (c Config) Validate(known catalog.Catalog) error {
	if len(c.Services) == 0 {
		return fmt.Errorf("services: no size given")
	}
	for i, n := range c.Services {
		if slices.Contains(c.Services[:i], n) {
			return fmt.Errorf("services: %d is given twice", n)
		}
		if err := c.synth(n, false).Validate(); err != nil {
			return err
		}
	}
	if err := c.validateRanges(); err != nil {
		return err
	}
	if err := c.validateNames(); err != nil {
		return err
	}
	if err := c.validateRules(); err != nil {
		return err
	}
	if err := c.validateModes(known); err != nil {
		return err
	}
	return c.Input.validate(c, known)
}

func (c Config) validateRanges() error {
	switch {
	case !(c.Precision >= 0 && c.Precision <= 1):
		return fmt.Errorf("precision must be 0 (none asked for) to 100%%, got %s", c.Precision)
	case c.Repeat < 1 || c.Repeat > 1000:
		return fmt.Errorf("repeat must be 1 to 1000, got %d", c.Repeat)
	case c.Duration < 100*time.Millisecond || c.Duration > time.Hour:
		return fmt.Errorf("duration must be 100ms to 1h, got %s", c.Duration)
	case c.Warmup < 0 || c.Warmup > 10000:
		return fmt.Errorf("warmup must be 0 to 10000 packets, got %d", c.Warmup)
	case c.Live < 0 || c.Live > time.Hour || c.Live > 0 && c.Live < time.Second:
		return fmt.Errorf("live must be 1s to 1h, or 0 for none, got %s", c.Live)
	case !(c.Churn >= 0 && c.Churn <= 1000): // nor NaN
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
	return nil
}

// validateModes checks the modes and what is chosen about them.
func (c Config) validateModes(known catalog.Catalog) error {
	if len(c.Modes) == 0 {
		return fmt.Errorf("modes: none given: valid are %v", known.Names())
	}
	var asked catalog.Catalog
	for i, name := range c.Modes {
		m, err := known.Find(name)
		if err != nil {
			return err
		}
		if slices.Contains(c.Modes[:i], name) {
			return fmt.Errorf("modes: %s is given twice", name)
		}
		asked = append(asked, m)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		having := known.With(name)
		if len(having) == 0 {
			return fmt.Errorf("unknown setting %q: no mode has a parameter of that name", name)
		}
		p, _ := having[0].Param(name)
		if err := p.CheckAll(c.Params[name]); err != nil {
			return err
		}
		if len(asked.With(name)) == 0 {
			return fmt.Errorf("%s is for mode %s, which is not among the modes asked for (%v)", name, having.Names()[0], c.Modes)
		}
		if err := c.used(asked, name); err != nil {
			return err
		}
	}
	for _, m := range asked {
		for _, a := range m.Product(c.params()) {
			for _, f := range c.Families {
				if err := m.CheckArgs(a, modes.Family(f)); err != nil {
					return err
				}
			}
			if c.Script == nil {
				continue
			}
			if err := c.Script.Suits(m, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// used says why no combination of the values asked for has a use for a parameter; nil if one has.
func (c Config) used(asked catalog.Catalog, name string) (err error) {
	for _, m := range asked.With(name) {
		p, _ := m.Param(name)
		if slices.ContainsFunc(m.Product(c.params()), func(a modes.Args) bool { return m.Uses(p, a) }) {
			return nil
		}
		for _, v := range c.Params[name] {
			err = cmp.Or(err, m.CheckArgs(modes.Args{name: v}, modes.IPv4))
		}
	}
	return err
}

// validateNames checks what is chosen from lists.
func (c Config) validateNames() error {
	missing := []string{OnMissingFail, OnMissingSkip, OnMissingFallback}
	if c.OnMissing != "" && !slices.Contains(missing, c.OnMissing) {
		return fmt.Errorf("unknown on-missing %q: valid are %v", c.OnMissing, missing)
	}
	if len(c.Kernels) == 0 {
		return fmt.Errorf("kernel: none given: see viplab kernel list, or %s", KernelAuto)
	}
	for i, k := range c.Kernels {
		if slices.Contains(c.Kernels[:i], k) {
			return fmt.Errorf("kernel: %s is given twice", k)
		}
		if k == KernelAuto && len(c.Kernels) > 1 || k == "" {
			return fmt.Errorf("kernel: %q is no kernel to compare with others", k)
		}
	}
	if (c.Testbed == testbed.NativeName || testbed.Emulated(c.Testbed)) && !slices.Equal(c.Kernels, []string{KernelAuto}) {
		return fmt.Errorf("kernels are those of testbed %s: testbed %s has one of its own", testbed.UMLName, c.Testbed)
	}
	if err := c.validateCPUs(); err != nil {
		return err
	}
	switch {
	case c.TimeTravel && c.Script == nil:
		return fmt.Errorf("time-travel is for scenarios: what computes takes no time in it, so nothing can be measured")
	case c.TimeTravel && c.Testbed != testbed.Auto && c.Testbed != testbed.UMLName:
		return fmt.Errorf("time travels in guests only, not on testbed %s", c.Testbed)
	}
	if err := oneOf("family", c.Families, modes.Families()); err != nil {
		return err
	}
	return oneOf("policy-packets", []string{c.PolicyFor}, trial.PolicyPackets())
}

// validateCPUs checks how many processors the guest is to have.
func (c Config) validateCPUs() error {
	if len(c.CPUs) == 0 {
		return fmt.Errorf("cpus: none given: 1 is the default")
	}
	for i, n := range c.CPUs {
		if n < 1 || n > kernel.MaxCPUs {
			return fmt.Errorf("cpus must be 1 to %d, got %d", kernel.MaxCPUs, n)
		}
		if slices.Contains(c.CPUs[:i], n) {
			return fmt.Errorf("cpus: %d is given twice", n)
		}
	}
	switch {
	case c.oneCPU():
		return nil
	case c.Testbed != testbed.Auto && c.Testbed != testbed.UMLName:
		return fmt.Errorf("cpus are the guest's: testbed %s has the machine's own", c.Testbed)
	case c.TimeTravel:
		return fmt.Errorf("cpus: time travels in guests of one alone")
	}
	return nil
}

// oneCPU tells whether the guest is to have one processor, as it has by itself.
func (c Config) oneCPU() bool { return slices.Equal(c.CPUs, []int{1}) }

// maxRules bounds rules that are not a mode's: their addresses are 198.18.0.0/15.
const maxRules = 130000

func (c Config) validateRules() error {
	if len(c.Policies) == 0 {
		return fmt.Errorf("policies: none given: 0 is for no policy rule")
	}
	for _, of := range []struct {
		what  string
		list  []int
		least int
	}{{"policies", c.Policies, 0}, {"plain-rules", c.Plain, 1}} {
		for i, n := range of.list {
			if n < of.least || n > maxRules {
				return fmt.Errorf("%s must be %d to %d, got %d", of.what, of.least, maxRules, n)
			}
			if slices.Contains(of.list[:i], n) {
				return fmt.Errorf("%s: %d is given twice", of.what, n)
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

// synth is the Spec of a size. With samePort endpoints listen on the Service's own port.
func (c Config) synth(services int, samePort bool) synth.Spec {
	return synth.Spec{Services: services, Endpoints: c.Endpoints, Ports: c.Ports, Seed: c.Seed, SamePort: samePort, Weights: c.Weights, Affinity: c.Affinity}
}

// plan says how much to measure at a size: cheap steps are repeated within a
// trial, dear ones (a Sync of 20000 Services takes seconds) come once a round.
func (c Config) plan(services int) trial.Plan {
	if c.Script != nil {
		script, _ := json.Marshal(c.Script) // of numbers and words
		return trial.Plan{FullSyncs: 1, SyncLimit: c.SyncLimit, Script: script, TimeTravel: c.TimeTravel}
	}
	p := trial.Plan{
		FullSyncs: 1, Deltas: 1, Packets: 40, Warmup: c.Warmup,
		Connect: c.Duration, Workers: 4, Iperf: c.Duration, Install: c.Limit, SyncLimit: c.SyncLimit, Live: c.Live,
		ChurnRate: c.Churn, Reuse: c.Reuse, Churn: c.ChurnFor, MinSync: c.MinSync,
	}
	if c.Testbed == testbed.ExactName {
		p.Iperf = 0 // bulk data takes no time there
	}
	if c.Quick {
		p.Deltas = 2
	} else if services <= 1000 {
		p.FullSyncs, p.Deltas = 2, 3
	}
	return p
}
