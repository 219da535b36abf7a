package results

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Bounds of a value other than zero, in whatever unit. Nothing that a lab measures is beyond
// them (a petabyte is 1e15 bytes, a femtosecond 1e-15 s), and figures made of values within
// them, such as squares of ratios, stay numbers.
const (
	LeastValue = 1e-18
	MostValue  = 1e18
)

// MostServices is the largest number of Services that a record can be about.
const MostServices = 10_000_000

// Fault says what keeps a record from being used, nil if nothing does. [Open] sets such a
// record aside with a warning, so that it costs itself only.
func (r Record) Fault() error {
	switch r.Metric {
	case "":
		return errors.New("names no metric")
	case Environment, Ended:
		return nil
	case Begin, Done:
		if r.Trial == "" {
			return fmt.Errorf("is the metric %s of no trial", r.Metric)
		}
		return nil
	}
	if len(r.Values) == 0 {
		return errors.New("has no values")
	}
	for _, v := range r.Values {
		if math.IsNaN(v) || math.Abs(v) > MostValue || v != 0 && math.Abs(v) < LeastValue {
			return fmt.Errorf("has the value %g", v)
		}
	}
	if r.Variant.Mode() == "" {
		return nil // of the machine
	}
	text := r.Factors[Services]
	if n, err := strconv.Atoi(text); err != nil || n < 1 || n > MostServices || strconv.Itoa(n) != text {
		return fmt.Errorf("is about %q Services", text)
	}
	return nil
}

// Sample tells whether a record holds samples: the others say how trials and runs went, and
// where.
func (r Record) Sample() bool {
	switch r.Metric {
	case Begin, Done, Environment, Ended:
		return false
	}
	return true
}
