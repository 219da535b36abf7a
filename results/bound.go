package results

import (
	"encoding/json"
	"math"
)

// Bound is one of an interval, which may be infinite: JSON has that as null.
type Bound float64

// MarshalJSON implements [json.Marshaler].
func (b Bound) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(b), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(b))
}
