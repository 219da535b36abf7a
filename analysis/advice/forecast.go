package advice

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"viplab/analysis/simulate"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// simulated makes a [Forecast] calibrated with a run, or, where that has too little, with
// the calibration that the lab ships; run may be nil. Its values are bounded by the largest
// error that predictions of the same quantity and mode had at sizes of the run that they
// were not fitted to; where there are none, they have no bounds. about says which
// calibration it is. It is of Services like those of the calibration, or of a Topology's.
func simulated(known []modes.Mode, run *results.Run, s *summary.Summary, t modes.Topology) (f Forecast, about string, err error) {
	var c *simulate.Calibration
	off := map[[2]string]float64{}
	why := ""
	if run != nil {
		if c, err = simulate.Calibrate(known, run, s, 0); err == nil {
			off = errorsOf(known, run, s)
		} else {
			why = fmt.Sprintf(" (not of the run itself: %v)", err)
		}
	}
	if c == nil {
		if c, err = simulate.Default(); err != nil {
			return nil, "", err
		}
	}
	predicted := map[string]simulate.Prediction{}
	return func(q Question, one summary.Series, n int) (Entry, bool) {
		i := slices.IndexFunc(known, func(m modes.Mode) bool { return m.Name == one.Mode })
		if i < 0 || q.Quantity == "" {
			return Entry{}, false
		}
		args, spec := modes.Args{}, c.Spec
		for _, p := range known[i].Params {
			if v, ok := one.Variant[p.Name]; ok && (p.Counted || p.Apart) {
				args[p.Name] = v
			} else if ok {
				return Entry{}, false // the model knows of its default alone
			}
		}
		var services modes.Topology = t
		if services == nil {
			spec.Services = n
			services = spec
		}
		name := fmt.Sprint(one.Mode, args, n)
		p, ok := predicted[name]
		if !ok {
			// What the calibration has no costs of stays zero, and is no value.
			var missing *simulate.MissingCostError
			var err error
			if p, err = c.Predict(known[i], args, services); err != nil && !errors.As(err, &missing) {
				return Entry{}, false
			}
			predicted[name] = p
		}
		v := p.Costs[q.Quantity]
		if q.Quantity == simulate.FirstPacket {
			v = p.FirstPacket.P99
		}
		if !(v > 0) { // nor NaN
			return Entry{}, false
		}
		e := Entry{Label: one.Label, Mode: one.Mode, Value: v, Lo: v, Hi: v, Simulated: true}
		if by, ok := off[[2]string{q.Quantity, strings.TrimSpace(one.Mode + " " + args.String())}]; ok {
			e.Lo, e.Hi, e.Interval = v/(1+by), v*(1+by), true
		}
		return e, true
	}, c.Source + why, nil
}

// errorsOf is the largest error of predictions of the largest size of a run, fitted to the
// smaller ones, by quantity and mode: 1 is a factor of two.
func errorsOf(known []modes.Mode, run *results.Run, s *summary.Summary) map[[2]string]float64 {
	out := map[[2]string]float64{}
	sizes := s.Sizes()
	if len(sizes) < 3 {
		return out
	}
	checks, _, err := simulate.HeldOut(known, run, s, sizes[len(sizes)-2])
	if err != nil {
		return out
	}
	for _, c := range checks {
		if c.Measured > 0 && c.Predicted > 0 {
			key := [2]string{c.Quantity, c.Label()}
			out[key] = max(out[key], math.Exp(math.Abs(math.Log(c.Predicted/c.Measured)))-1)
		}
	}
	return out
}
