package results

import (
	"fmt"
	"math"
	"strconv"
)

// Number reads a finite number. What is not one, NaN and infinities among it, is an error
// in a sentence: nothing compares with those, so that a limit of them would never be passed.
func Number(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return v, nil
}
