package simulate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"viplab/analysis/fit"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/results"
)

// Calibration is what operations cost, fitted to a measured run.
type Calibration struct {
	// Source says which run, on what, when.
	Source  string `json:"source"`
	Testbed string `json:"testbed"`
	Sizes   []int  `json:"sizes"`
	// Spec is that of the run; Services is of no meaning.
	Spec synth.Spec `json:"spec"`
	// Costs are by quantity, mode ("any" for packets) and operation, in seconds
	// or bytes.
	Costs map[string]map[string]map[string]float64 `json:"costs"`
	// Cells are what the costs were fitted to.
	Cells []Observation `json:"cells,omitempty"`
}

// anyMode is the mode of costs that are the same in all.
const anyMode = "any"

// MissingCostError is a prediction that a Calibration has no costs for.
type MissingCostError struct{ Quantity, Mode, Source string }

// Error implements error.
func (e *MissingCostError) Error() string {
	return fmt.Sprintf("the calibration (%s) holds no cost of %s in mode %s: calibrate with a run that measured it", e.Source, e.Quantity, e.Mode)
}

// Has tells whether a quantity of a mode can be predicted.
func (c *Calibration) Has(q Quantity, m modes.Mode, a modes.Args) bool {
	return len(q.terms(m)) > 0 && c.Costs[q.Name][key(q, m, a)] != nil
}

// key names what costs are the same in: all modes for a packet's, else the mode, with those
// arguments of it that things cost differently at.
func key(q Quantity, m modes.Mode, a modes.Args) string {
	if len(q.Packet) > 0 {
		return anyMode
	}
	apart := modes.Args{}
	for _, p := range m.Params {
		if v, ok := a[p.Name]; ok && p.Apart && v != p.Default {
			apart[p.Name] = v
		}
	}
	return strings.TrimSpace(m.Name + " " + apart.String())
}

// cost sums what the counted operations cost.
func (c *Calibration) cost(q Quantity, m modes.Mode, a modes.Args, n counted) (float64, error) {
	costs := c.Costs[q.Name][key(q, m, a)]
	if costs == nil {
		return 0, &MissingCostError{q.Name, key(q, m, a), c.Source}
	}
	sum := 0.0
	for op, each := range costs {
		sum += each * n[op]
	}
	// What a packet meets costs something, even if nobody knows what.
	for op, times := range n {
		_, known := costs[op]
		if len(q.Packet) > 0 && !known && times > 0 && (op != ruleBehind || slices.Contains(q.Packet, ruleBehind)) {
			return 0, &MissingCostError{fmt.Sprintf("%s (%s)", q.Name, op), m.Name, c.Source}
		}
	}
	return sum, nil
}

// Calibrate fits costs to the cells of a run, of those modes that have a model, with at
// most upTo Services (0: all).
func Calibrate(known []modes.Mode, run *results.Run, s *summary.Summary, upTo int) (*Calibration, error) {
	all, err := Observe(known, run, s)
	if err != nil {
		return nil, err
	}
	c, err := all.Without(known, func(services int) bool { return upTo > 0 && services > upTo })
	if err != nil {
		return nil, fmt.Errorf("calibrate with %s: %w", run.Dir, err)
	}
	return c, nil
}

// Join adds the cells of another run of the same kind of topology, on the same testbed.
func (c *Calibration) Join(more *Calibration) error {
	if !reflect.DeepEqual(c.Spec, more.Spec) || c.Testbed != more.Testbed {
		return fmt.Errorf("calibrate with two runs: %s and %s are of different topologies or testbeds", c.Source, more.Source)
	}
	if c.Source != more.Source {
		c.Source += "; " + more.Source
	}
	c.Cells = append(c.Cells, more.Cells...)
	return nil
}

// Observe is a Calibration without costs yet, of all cells of a run; see
// [Calibration.Without].
func Observe(known []modes.Mode, run *results.Run, s *summary.Summary) (*Calibration, error) {
	c := &Calibration{}
	e := run.Env
	c.Testbed = e.Testbed
	if kernels := s.Kernels(); len(kernels) > 1 {
		return nil, fmt.Errorf("calibrate with %s: it is of the kernels %s, each with costs of its own", run.Dir, strings.Join(kernels, ", "))
	}
	c.Source = fmt.Sprintf("run of %s, testbed %s, kernel %s, %d × %s", e.Time.Format("2006-01-02"), e.Testbed, e.Kernel, e.CPUs, e.CPU)
	if err := c.topology(run); err != nil {
		return nil, err
	}
	counts := newCounting(known, c.Spec)
	for _, q := range Quantities() {
		c.Cells = append(c.Cells, observe(q, s, counts)...)
	}
	return c, nil
}

// Without is a Calibration fitted anew to the same cells, but those of the sizes that are
// held out.
func (c *Calibration) Without(known []modes.Mode, held func(services int) bool) (*Calibration, error) {
	out := *c
	out.Costs, out.Sizes = map[string]map[string]map[string]float64{}, nil
	out.Cells = slices.DeleteFunc(slices.Clone(c.Cells), func(o Observation) bool { return held(o.Services) })
	for _, o := range out.Cells {
		if !slices.Contains(out.Sizes, o.Services) {
			out.Sizes = append(out.Sizes, o.Services)
		}
	}
	slices.Sort(out.Sizes)
	if len(out.Sizes) < 2 {
		return nil, fmt.Errorf("a calibration needs at least two numbers of Services, there are %v", out.Sizes)
	}
	counts := newCounting(known, c.Spec)
	for _, q := range Quantities() {
		if err := out.fit(q, counts); err != nil {
			return nil, fmt.Errorf("%s: %w", q.Name, err)
		}
	}
	return &out, nil
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
	return c.Spec.Validate()
}

// fit fits one quantity: over all modes together if it is a packet's, else mode by mode.
func (c *Calibration) fit(q Quantity, counts *counting) error {
	groups := map[string][]Observation{}
	for _, o := range c.Cells {
		if o.Quantity != q.Name {
			continue
		}
		m := counts.modes[o.Mode]
		var err error
		if o.n, err = counts.count(q, m, o.Args, o.Position, o.Services); err != nil {
			return err
		}
		groups[key(q, m, o.Args)] = append(groups[key(q, m, o.Args)], o)
	}
	for k, group := range groups {
		ops := q.fitted(counts.modes[group[0].Mode], group)
		var x [][]float64
		var y []float64
		for _, o := range group {
			row := make([]float64, len(ops))
			for j, op := range ops {
				row[j] = o.n[op]
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

// Observation is a measured cell.
type Observation struct {
	Quantity string     `json:"quantity"`
	Mode     string     `json:"mode"`
	Args     modes.Args `json:"args,omitempty"`
	Position string     `json:"position,omitempty"` // of a packet
	Services int        `json:"services"`
	Measured float64    `json:"measured"`

	n counted // its operations, once they were counted
}

// planned are the keys of variants, beside the modes' parameters, that models know of or
// that costs do not depend on. A cell that has another one is not used.
func planned() []string {
	return []string{results.Mode, results.Testbed, results.Kernel, results.Endpoints, results.Ports, results.RunName}
}

// Args are a variant's arguments of its mode; ok is false for one that no costs hold for.
func Args(m modes.Mode, v results.Variant) (a modes.Args, ok bool) {
	a = modes.Args{}
	for key, value := range v {
		if slices.Contains(planned(), key) {
			continue
		}
		i := slices.IndexFunc(m.Params, func(p modes.Param) bool { return p.Name == key })
		if i < 0 || !m.Params[i].Counted && !m.Params[i].Apart && value != m.Params[i].Default {
			return nil, false
		}
		if value != m.Params[i].Default {
			a[key] = value
		}
	}
	return a, true
}

// observe lists the cells of a quantity that a model can be held against.
func observe(q Quantity, s *summary.Summary, counts *counting) []Observation {
	var out []Observation
	for _, cell := range s.Select(q.Metric, q.With) {
		m, known := counts.modes[cell.Variant.Mode()]
		position := cell.Factors[results.Position]
		if !known || modelled(m) != nil || len(q.terms(m)) == 0 || cell.Over || cell.Median <= q.Least || len(q.Packet) > 0 && !slices.Contains(q.Positions, position) {
			continue
		}
		a, ok := Args(m, cell.Variant)
		if e := cell.Variant[results.Endpoints]; !ok || e != strconv.Itoa(counts.spec.Endpoints) {
			continue
		}
		if len(q.Packet) == 0 {
			position = ""
		}
		out = append(out, Observation{Quantity: q.Name, Mode: m.Name, Args: a, Position: position, Services: cell.Services(), Measured: cell.Median})
	}
	return out
}

// counting counts operations for one kind of topology, each thing once.
type counting struct {
	modes map[string]modes.Mode
	spec  synth.Spec
	state map[string]modes.Counts
	memo  map[string]counted
}

func newCounting(known []modes.Mode, spec synth.Spec) *counting {
	c := &counting{map[string]modes.Mode{}, spec, map[string]modes.Counts{}, map[string]counted{}}
	for _, m := range known {
		c.modes[m.Name] = m
	}
	return c
}

// count counts the operations of a quantity.
func (c *counting) count(q Quantity, m modes.Mode, a modes.Args, position string, services int) (n counted, err error) {
	spec := c.spec
	spec.Services = services
	name := fmt.Sprint(m.Name, " ", a, " ", services)
	if len(q.Packet) == 0 {
		if c.state[name] == nil {
			if c.state[name], err = StateOf(m, a, spec); err != nil {
				return nil, err
			}
		}
		return stateCounts(m, q.Name, c.state[name]), nil
	}
	name += " " + position
	if c.memo[name] == nil {
		c.memo[name], err = packetsAt(m, a, spec, positions(position, services))
	}
	return c.memo[name], err
}

// packetsAt is the mean of the operations on the way of packets to some Services.
func packetsAt(m modes.Mode, a modes.Args, t modes.Topology, at []int) (counted, error) {
	w, err := NewWalker(m, a, t, at)
	if err != nil {
		return nil, err
	}
	n := counted{}
	for _, p := range at {
		way, err := w.First(p)
		if err != nil {
			return nil, err
		}
		n.add(m, way, 1/float64(len(at)))
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
