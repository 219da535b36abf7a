package simulate

import (
	_ "embed"
	"math"
	"slices"

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
	// FirstPacket is the distribution over Services.
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
		if len(q.Packet) > 0 || !c.Has(q, m) {
			continue
		}
		if p.Costs[q.Name], err = c.cost(q, m, stateCounts(m, q.Name, p.State)); err != nil {
			return p, err
		}
	}
	return p, c.packets(&p, m, t)
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
		v, err := c.cost(firstPacket(), m, n)
		if err != nil {
			return err
		}
		took, looked = append(took, v), append(looked, float64(way.Rules))
		if c.Has(connectionCPU(), m) {
			v, err := c.cost(connectionCPU(), m, n)
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
	Quantity  string  `json:"quantity"`
	Mode      string  `json:"mode"`
	Position  string  `json:"position,omitempty"`
	Services  int     `json:"services"`
	Measured  float64 `json:"measured"`
	Predicted float64 `json:"predicted"`
}

// Error is how far the prediction is off, as a share of what was measured.
func (c Check) Error() float64 { return c.Predicted/c.Measured - 1 }

// HeldOut fits on the cells of a run with at most upTo Services, predicts the
// larger ones, and lists both. The median of the absolute errors is NaN if nothing
// could be checked.
func HeldOut(known []modes.Mode, run *results.Run, s *summary.Summary, upTo int) (checks []Check, median float64, err error) {
	c, err := Calibrate(known, run, s, upTo)
	if err != nil {
		return nil, math.NaN(), err
	}
	var errs []float64
	counts := newCounting(known, c.Spec)
	for _, q := range Quantities() {
		obs, err := observe(q, s, counts)
		if err != nil {
			return nil, math.NaN(), err
		}
		for _, o := range obs {
			if slices.Contains(c.Sizes, o.Services) || !c.Has(q, counts.modes[o.Mode]) {
				continue
			}
			v, err := c.cost(q, counts.modes[o.Mode], o.counted)
			if err != nil {
				return nil, math.NaN(), err
			}
			one := Check{q.Name, o.Mode, o.Position, o.Services, o.Measured, v}
			checks, errs = append(checks, one), append(errs, math.Abs(one.Error()))
		}
	}
	if median, err = stats.Median(errs); err != nil {
		return nil, math.NaN(), nil // nothing larger was measured
	}
	return checks, median, nil
}
