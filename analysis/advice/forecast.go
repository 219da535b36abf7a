package advice

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"viplab/analysis/simulate"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// basis is what the Services of one kernel are simulated with.
type basis struct {
	*simulate.Calibration
	// off is the largest error that predictions had, by quantity and mode: see errorsOf.
	off map[[2]string]float64
	// why says why it is not of the run, empty where it is.
	why       string
	predicted map[string]simulate.Prediction
}

// basisOf calibrates with a run, nil for none, or, where that has too little, takes the
// calibration that the lab ships.
func basisOf(known []modes.Mode, run *results.Run, s *summary.Summary) (b basis, err error) {
	b.predicted = map[string]simulate.Prediction{}
	if run != nil {
		if b.Calibration, err = simulate.Calibrate(known, run, s, 0); err == nil {
			b.off = errorsOf(known, run, s)
			return b, nil
		}
		b.why = fmt.Sprintf(" (not of the run itself: %v)", err)
	}
	b.Calibration, err = simulate.Default()
	return b, err
}

// simulated makes a [Forecast] from what was measured on the series' own kernel; run may be
// nil. Its values are bounded by the largest error that predictions of the same quantity and
// mode had at sizes of the run that they were not fitted to; where there are none, they have no
// bounds. about says what it is calibrated with. It is of Services like those of the series, or
// of a Topology's.
func simulated(known []modes.Mode, run *results.Run, s *summary.Summary, t modes.Topology) (f Forecast, about string, err error) {
	kernels := s.Kernels()
	if len(kernels) == 0 {
		kernels = []string{results.UsualKernel}
	}
	of := map[string]basis{}
	var sources []string
	for _, k := range kernels {
		b, err := basisOf(known, run, s.Where(func(v results.Variant) bool { return v.KernelName() == k }))
		if err != nil {
			return nil, "", err
		}
		of[k] = b
		if text := b.Source + b.why; !slices.Contains(sources, text) {
			sources = append(sources, text)
		}
	}
	return func(q Question, one summary.Series, n int) (Entry, bool) {
		i := slices.IndexFunc(known, func(m modes.Mode) bool { return m.Name == one.Mode })
		b, ok := of[one.Variant.KernelName()]
		if i < 0 || !ok || q.Quantity == "" {
			return Entry{}, false
		}
		return b.entry(q, known[i], one, n, t)
	}, strings.Join(sources, "; "), nil
}

// entry predicts a figure of a series; ok is false where the model does not know of something
// that sets the series apart.
func (b basis) entry(q Question, m modes.Mode, one summary.Series, n int, t modes.Topology) (e Entry, ok bool) {
	variant := maps.Clone(one.Variant)
	delete(variant, results.Input)
	args, ok := simulate.Args(m, variant)
	if !ok {
		return e, false
	}
	if t == nil {
		spec := b.Spec
		spec.Services = n
		for key, to := range map[string]*int{results.Endpoints: &spec.Endpoints, results.Ports: &spec.Ports} {
			if v, err := strconv.Atoi(variant[key]); err == nil {
				*to = v
			}
		}
		t = spec
	}
	name := fmt.Sprint(m.Name, args, variant[results.Endpoints], variant[results.Ports], n)
	p, ok := b.predicted[name]
	if !ok {
		// What the calibration has no costs of stays zero, and is no value.
		var missing *simulate.MissingCostError
		var err error
		if p, err = b.Predict(m, args, t); err != nil && !errors.As(err, &missing) {
			return e, false
		}
		b.predicted[name] = p
	}
	v := p.Costs[q.Quantity]
	if q.Quantity == simulate.FirstPacket {
		v = p.FirstPacket.P99
	}
	if !(v > 0) { // nor NaN
		return e, false
	}
	e = Entry{Label: one.Label, Mode: one.Mode, Value: v, Lo: v, Hi: v, Simulated: true}
	if by, ok := b.off[[2]string{q.Quantity, strings.TrimSpace(one.Mode + " " + args.String())}]; ok {
		e.Lo, e.Hi, e.Interval = v/(1+by), v*(1+by), true
	}
	return e, true
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
