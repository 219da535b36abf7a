package results

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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

// Portion is a part of a whole, 0 to 1. It is read from a text such as "5%" or "0.05", in
// flags and in files alike.
type Portion float64

// ParsePortion reads a share that is not negative; it may be above 1, as changes are.
func ParsePortion(text string) (Portion, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := Number(strings.TrimSpace(number))
	if percent {
		v /= 100
	}
	if err != nil || v < 0 || v > 100 {
		return 0, fmt.Errorf("%q is no share such as 5%% or 0.05", text)
	}
	return Portion(v), nil
}

// String writes it in percent.
func (s Portion) String() string { return strconv.FormatFloat(100*float64(s), 'g', 6, 64) + "%" }

// Set and Type make it a flag's value.
func (s *Portion) Set(text string) (err error) {
	*s, err = ParsePortion(text)
	return err
}

// Type is how help texts name the value.
func (s *Portion) Type() string { return "share" }

// MarshalText and UnmarshalText make it a value in files.
func (s Portion) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes, and a plain number.
func (s *Portion) UnmarshalText(text []byte) error { return s.Set(string(text)) }
