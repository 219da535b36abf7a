package play

import (
	"encoding/json"

	"viplab/results"
)

// MarshalJSON writes what was measured and expected; times are in seconds.
func (o Outcome) MarshalJSON() ([]byte, error) {
	type check struct {
		Variant string `json:"variant"`
		// Expected is the expectation as the script has it.
		Expected string  `json:"expected"`
		Got      float64 `json:"got"`
		Missing  bool    `json:"missing,omitempty"`
		Held     bool    `json:"held"`
	}
	checks := []check{}
	for _, c := range o.Checks {
		checks = append(checks, check{c.Label, c.Text(), c.Got, c.Missing, c.Held})
	}
	return json.Marshal(map[string]any{
		results.ScenarioName: o.Script.Name, "question": o.Script.Question, "quantities": o.Values, "checks": checks,
	})
}
