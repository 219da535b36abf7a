package play

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"viplab/modes/catalog"
	"viplab/results"
)

// Expectation is a bound on a quantity of a phase, for all modes or some.
type Expectation struct {
	Quantity, Phase, Op string
	Value               float64
	Modes               []string
}

// Text is the expectation as it was written.
func (e Expectation) Text() string {
	s := fmt.Sprintf("%s %s %s %s", e.Quantity, e.Phase, e.Op, strconv.FormatFloat(e.Value, 'f', -1, 64))
	if len(e.Modes) > 0 {
		s += " in " + strings.Join(e.Modes, ",")
	}
	return s
}

// Holds tells whether a value meets the expectation.
func (e Expectation) Holds(v float64) bool {
	if e.Op == ">=" {
		return v >= e.Value
	}
	return v <= e.Value
}

// expectation reads "QUANTITY PHASE <=|>= VALUE [in MODE,MODE]".
func expectation(args []string) (e Expectation, err error) {
	if len(args) != 4 && (len(args) != 6 || args[4] != "in") {
		return e, fmt.Errorf("want expect QUANTITY PHASE <= VALUE [in MODES]")
	}
	e = Expectation{Quantity: args[0], Phase: args[1], Op: args[2]}
	if !slices.Contains(Quantities(), e.Quantity) {
		return e, fmt.Errorf("unknown quantity %q: valid are %v", e.Quantity, Quantities())
	}
	if e.Op != "<=" && e.Op != ">=" {
		return e, fmt.Errorf("expectations compare by <= or >=, not %q", e.Op)
	}
	if e.Value, err = results.Number(args[3]); err != nil {
		return e, err
	}
	if len(args) == 6 {
		e.Modes = strings.Split(args[5], ",")
	}
	return e, nil
}

// check refuses an expectation that nothing could ever fail: in a mode that there is not, or
// that is the control, of which nothing is expected.
func (e Expectation) check(known catalog.Catalog) error {
	for _, name := range e.Modes {
		m, err := known.Find(name)
		if err != nil {
			return err
		}
		if m.Baseline {
			return fmt.Errorf("mode %s is the control: nothing is expected of it", name)
		}
	}
	return nil
}
