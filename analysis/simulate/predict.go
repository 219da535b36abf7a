package simulate

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/montanaflynn/stats"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

//go:embed default.json
var defaultCalibration []byte

// Default is the Calibration that the lab ships with; its Source says where it
// comes from.
func Default() (*Calibration, error) { return Parse(defaultCalibration) }

// Prediction is what a mode costs at a number of Services. Times are in seconds,
// memory in bytes.
type Prediction struct {
	Mode     string       `json:"mode"`
	Args     modes.Args   `json:"args,omitempty"`
	Services int          `json:"services"`
	State    modes.Counts `json:"state"`
	// FirstPacket is the distribution over Services, zero where there are no costs of what
	// the mode's packets meet.
	FirstPacket Distribution `json:"first_packet_seconds"`
	// Looked is how many rules a first packet is held against, on average.
	Looked float64 `json:"rules_looked_at"`
	// Costs are the other quantities by name.
	Costs map[string]float64 `json:"costs"`
}

// Distribution is over Services.
type Distribution struct {
	P01  float64 `json:"p01"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Mean float64 `json:"mean"`
}

// Predict predicts what a mode costs for a Topology.
func (c *Calibration) Predict(m modes.Mode, a modes.Args, t modes.Topology) (Prediction, error) {
	p := Prediction{Mode: m.Name, Args: a, Services: t.Count(), Costs: map[string]float64{}}
	var err error
	if p.State, err = StateOf(m, a, t); err != nil {
		return p, err
	}
	for _, q := range Quantities() {
		if len(q.Packet) > 0 || !c.Has(q, m, a) {
			continue
		}
		if p.Costs[q.Name], err = c.cost(q, m, a, stateCounts(m, q.Name, p.State)); err != nil {
			return p, err
		}
	}
	var missing *MissingCostError
	if err := c.packets(&p, m, t); errors.As(err, &missing) && c.Costs[FirstPacket] != nil {
		p.FirstPacket = Distribution{} // of what other modes' packets meet something is known
	} else if err != nil {
		return p, err
	}
	return p, nil
}

// packets predicts first packets to Services all over the Snapshot.
func (c *Calibration) packets(p *Prediction, m modes.Mode, t modes.Topology) error {
	at := positions("random", t.Count())
	w, err := NewWalker(m, p.Args, t, at)
	if err != nil {
		return err
	}
	var took, cpus, looked []float64
	for _, position := range at {
		way, err := w.First(position)
		if err != nil {
			return err
		}
		n := counted{}
		n.add(m, way, 1)
		v, err := c.cost(firstPacket(), m, p.Args, n)
		if err != nil {
			return err
		}
		took, looked = append(took, v), append(looked, float64(way.Rules))
		if c.Has(connectionCPU(), m, p.Args) {
			v, err := c.cost(connectionCPU(), m, p.Args, n)
			if err != nil {
				return err
			}
			cpus = append(cpus, v)
		}
	}
	d := &p.FirstPacket
	d.Mean, _ = stats.Mean(took) // never empty
	p.Looked, _ = stats.Mean(looked)
	if len(cpus) > 0 {
		p.Costs[ConnectionCPU], _ = stats.Mean(cpus)
	}
	for percent, into := range map[float64]*float64{1: &d.P01, 50: &d.P50, 90: &d.P90, 99: &d.P99} {
		if *into, err = stats.PercentileNearestRank(took, percent); err != nil {
			return err
		}
	}
	return nil
}

// Check is one cell that was predicted and measured.
type Check struct {
	Quantity  string     `json:"quantity"`
	Mode      string     `json:"mode"`
	Args      modes.Args `json:"args,omitempty"`
	Position  string     `json:"position,omitempty"`
	Services  int        `json:"services"`
	Measured  float64    `json:"measured"`
	Predicted float64    `json:"predicted"`
}

// Error is how far the prediction is off, as a share of what was measured.
func (c Check) Error() float64 { return c.Predicted/c.Measured - 1 }

// Label is the mode with its arguments.
func (c Check) Label() string { return strings.TrimSpace(c.Mode + " " + c.Args.String()) }

// HeldOut fits on the cells of a run with at most upTo Services, predicts the
// larger ones, and lists both. The median of the absolute errors is NaN if nothing
// could be checked.
func HeldOut(known []modes.Mode, run *results.Run, s *summary.Summary, upTo int) (checks []Check, median float64, err error) {
	c, err := Observe(known, run, s)
	if err != nil {
		return nil, math.NaN(), err
	}
	checks, err = c.HeldOut(known, func(services int) bool { return services > upTo })
	if err != nil {
		return nil, math.NaN(), fmt.Errorf("calibrate with %s: %w", run.Dir, err)
	}
	return checks, Median(checks), nil
}

// HeldOut fits to the cells of other sizes, and predicts those that are held out.
func (c *Calibration) HeldOut(known []modes.Mode, held func(services int) bool) (checks []Check, err error) {
	fitted, err := c.Without(known, held)
	if err != nil {
		return nil, err
	}
	counts := newCounting(known, c.Spec)
	for _, q := range Quantities() {
		for _, o := range c.Cells {
			m := counts.modes[o.Mode]
			if o.Quantity != q.Name || !held(o.Services) || !fitted.Has(q, m, o.Args) {
				continue
			}
			n, err := counts.count(q, m, o.Args, o.Position, o.Services)
			if err != nil {
				return nil, err
			}
			v, err := fitted.cost(q, m, o.Args, n)
			if err != nil {
				return nil, err
			}
			checks = append(checks, Check{q.Name, o.Mode, o.Args, o.Position, o.Services, o.Measured, v})
		}
	}
	return checks, nil
}

// Median is the median of the absolute errors, NaN if there are none.
func Median(checks []Check) float64 {
	var errs []float64
	for _, c := range checks {
		errs = append(errs, math.Abs(c.Error()))
	}
	median, err := stats.Median(errs)
	if err != nil {
		return math.NaN()
	}
	return median
}
