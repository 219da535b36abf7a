package simulate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"viplab/analysis/fit"
	"viplab/analysis/summary"
	"viplab/modes/synth"
	"viplab/results"
)

// Calibration is what operations cost, fitted to a measured run.
type Calibration struct {
	// Source says which run, on what, when.
	Source  string `json:"source"`
	Testbed string `json:"testbed"`
	Sizes   []int  `json:"sizes"`
	// Spec and Fanout are those of the run; Services is of no meaning.
	Spec   synth.Spec `json:"spec"`
	Fanout int        `json:"fanout"`
	// Costs are by quantity, mode ("any" for packets) and operation, in seconds
	// or bytes.
	Costs map[string]map[string]map[string]float64 `json:"costs"`
}

// any is the mode of costs that are the same in all.
const anyMode = "any"

// MissingCostError is a prediction that a Calibration has no costs for.
type MissingCostError struct{ Quantity, Mode, Source string }

// Error implements error.
func (e *MissingCostError) Error() string {
	return fmt.Sprintf("the calibration (%s) holds no cost of %s in mode %s: calibrate with a run that measured it", e.Source, e.Quantity, e.Mode)
}

// Has tells whether a quantity of a mode can be predicted.
func (c *Calibration) Has(q Quantity, mode string) bool {
	if q.operations(mode) == nil {
		return false
	}
	return c.Costs[q.Name][key(q, mode)] != nil
}

func key(q Quantity, mode string) string {
	if q.Packet {
		return anyMode
	}
	return mode
}

// cost sums what the counted operations cost.
func (c *Calibration) cost(q Quantity, mode string, n counted) (float64, error) {
	costs := c.Costs[q.Name][key(q, mode)]
	if costs == nil {
		return 0, &MissingCostError{q.Name, mode, c.Source}
	}
	sum := 0.0
	for _, op := range q.operations(mode) {
		sum += costs[op] * n.of(op)
	}
	return sum, nil
}

// Calibrate fits costs to the cells of a run with at most upTo Services (0: all).
func Calibrate(run *results.Run, s *summary.Summary, upTo int) (*Calibration, error) {
	c := &Calibration{Costs: map[string]map[string]map[string]float64{}}
	e := run.Env
	c.Testbed = e.Testbed
	c.Source = fmt.Sprintf("run of %s, testbed %s, kernel %s, %d × %s", e.Time.Format("2006-01-02"), e.Testbed, e.Kernel, e.CPUs, e.CPU)
	if err := c.topology(run); err != nil {
		return nil, err
	}
	for _, n := range s.Sizes() {
		if upTo == 0 || n <= upTo {
			c.Sizes = append(c.Sizes, n)
		}
	}
	if len(c.Sizes) < 2 {
		return nil, fmt.Errorf("a calibration needs at least two numbers of Services, %s has %v", run.Dir, c.Sizes)
	}
	counts := newCounting(c.Spec, c.Fanout)
	for _, q := range Quantities() {
		if err := c.fit(q, s, counts); err != nil {
			return nil, fmt.Errorf("calibrate %s: %w", q.Name, err)
		}
	}
	if len(c.Costs) == 0 {
		return nil, fmt.Errorf("%s holds nothing to calibrate with", run.Dir)
	}
	return c, nil
}

// topology takes what the run's Snapshots were from its configuration.
func (c *Calibration) topology(run *results.Run) error {
	number := func(name string, def int) int {
		if v, ok := run.Config[name].(int); ok {
			return v
		}
		return def
	}
	c.Spec = synth.Spec{Services: 1, Endpoints: number("endpoints", 2), Ports: number("ports", 1), Seed: uint64(number("seed", 1))}
	c.Fanout = number("fanout", 8)
	return c.Spec.Validate()
}

// fit fits one quantity: over all modes together if it is a packet's, else mode by
// mode.
func (c *Calibration) fit(q Quantity, s *summary.Summary, counts *counting) error {
	obs, err := observe(q, s, c.Spec, counts)
	if err != nil {
		return err
	}
	groups := map[string][]Observation{}
	for _, o := range obs {
		if slices.Contains(c.Sizes, o.Services) {
			groups[key(q, o.Mode)] = append(groups[key(q, o.Mode)], o)
		}
	}
	for k, group := range groups {
		ops := c.fitted(q.operations(group[0].Mode))
		var x [][]float64
		var y []float64
		for _, o := range group {
			row := make([]float64, len(ops))
			for j, op := range ops {
				row[j] = o.counted.of(op)
			}
			x, y = append(x, row), append(y, o.Measured)
		}
		coefficients, err := fit.NonNegative(x, y)
		if err != nil {
			return err
		}
		costs := map[string]float64{}
		for j, op := range ops {
			costs[op] = coefficients[j]
		}
		if c.Costs[q.Name] == nil {
			c.Costs[q.Name] = map[string]map[string]float64{}
		}
		c.Costs[q.Name][k] = costs
	}
	return nil
}

// leastForIndex is the size from which on the index of chains costs enough to be
// told from noise.
const leastForIndex = 20000

// fitted leaves out operations that the sizes measured say nothing about.
func (c *Calibration) fitted(ops []string) []string {
	if slices.Max(c.Sizes) >= leastForIndex {
		return ops
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op string) bool { return op == chainIndexed })
}

// Observation is a measured cell with the counts of its operations.
type Observation struct {
	Mode     string
	Position string // of a packet
	Services int
	Measured float64
	counted
}

// plain are the variants of modes that the simulator plans.
func plain(factors map[string]string) bool {
	for k, v := range map[string]string{results.Sync: "partial", results.Backend: "legacy", results.Bind: "address", results.Scheduler: "rr",
		results.Forward: "nat", results.Lookup: "ipset", results.Family: "ipv4", results.Tracking: "on", results.Affinity: "", results.Policies: "0"} {
		if got, ok := factors[k]; ok && got != v {
			return false
		}
	}
	return true
}

// observe lists the cells of a quantity, with their counts.
func observe(q Quantity, s *summary.Summary, spec synth.Spec, counts *counting) ([]Observation, error) {
	var out []Observation
	for _, cell := range s.Select(q.Metric, q.With) {
		mode, position := cell.Factors[results.Mode], cell.Factors[results.Position]
		if q.operations(mode) == nil || cell.Over || cell.Median <= 0 || !plain(cell.Factors) || q.Packet && !slices.Contains(q.Positions, position) {
			continue
		}
		if e := cell.Factors[results.Endpoints]; e != strconv.Itoa(spec.Endpoints) {
			continue
		}
		n, err := counts.count(q, mode, position, cell.Services())
		if err != nil {
			return nil, err
		}
		out = append(out, Observation{mode, position, cell.Services(), cell.Median, n})
	}
	return out, nil
}

// counting counts operations for one kind of topology, each thing once.
type counting struct {
	spec   synth.Spec
	fanout int
	memo   map[string]counted
}

func newCounting(spec synth.Spec, fanout int) *counting {
	return &counting{spec, fanout, map[string]counted{}}
}

// count counts the operations of a quantity.
func (c *counting) count(q Quantity, mode, position string, services int) (counted, error) {
	if !q.Packet {
		position = ""
	}
	name := fmt.Sprint(mode, " ", position, " ", services)
	if n, ok := c.memo[name]; ok {
		return n, nil
	}
	spec := c.spec
	spec.Services = services
	n, err := count(q, mode, position, spec, c.fanout)
	if err == nil {
		c.memo[name] = n
	}
	return n, err
}

func count(q Quantity, mode, position string, spec synth.Spec, fanout int) (counted, error) {
	n := counted{direct: mode == "direct"}
	if !q.Packet {
		var err error
		n.State, err = StateOf(mode, spec, fanout)
		return n, err
	}
	at := positions(position, spec.Services)
	w, err := NewWalker(mode, spec, fanout, at)
	if err != nil {
		return n, err
	}
	for _, p := range at {
		way, err := w.First(p)
		if err != nil {
			return n, err
		}
		share := 1 / float64(len(at))
		n.rules += share * float64(way.Rules)
		n.behind += share * float64(way.Behind)
		n.jumps += share * float64(way.Jumps)
		n.servers += share * float64(way.Servers)
		n.bucket += share * float64(way.Bucket)
		n.copies += share * float64(way.Copies)
	}
	return n, nil
}

// spread is how many Services stand for all of them.
const spread = 200

// positions lists the Services at a position; random ones are evenly spread.
func positions(position string, services int) []int {
	switch position {
	case "first":
		return []int{0}
	case "middle":
		return []int{(services - 1) / 2}
	case "last":
		return []int{services - 1}
	}
	n := min(spread, services)
	out := make([]int, n)
	for i := range out {
		out[i] = (2*i + 1) * services / (2 * n)
	}
	return out
}

// Parse reads a Calibration.
func Parse(b []byte) (*Calibration, error) {
	var c Calibration
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("read calibration: %w", err)
	}
	if len(c.Costs) == 0 {
		return nil, fmt.Errorf("read calibration: it holds no costs")
	}
	return &c, c.Spec.Validate()
}
