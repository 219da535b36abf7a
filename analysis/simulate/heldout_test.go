package simulate

import (
	"testing"

	"viplab/modes/catalog"
)

// TestShippedHeldOut: what the shipped calibration would say of sizes that it had not seen,
// against what was measured there. The measured cells come with it, so that a change of the
// model that makes predictions worse is found without a new run.
func TestShippedHeldOut(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		held func(services int) bool
		each float64 // most that the median of one quantity may be off
	}{
		{"a size between", func(n int) bool { return n == 20000 }, 0.25},
		// Ten times as large as any that was fitted: what grows with the square does not show yet.
		{"all above 5000", func(n int) bool { return n > 5000 }, 0.35},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checks, err := c.HeldOut(catalog.All(), tt.held)
			if err != nil {
				t.Fatal(err)
			}
			of := map[string][]Check{}
			for _, check := range checks {
				of[check.Quantity] = append(of[check.Quantity], check)
				t.Logf("%-18s %-28s %-6s %6d: measured %.3g, predicted %.3g, %+.0f %%",
					check.Quantity, check.Label(), check.Position, check.Services, check.Measured, check.Predicted, 100*check.Error())
			}
			for quantity, list := range of {
				if median := Median(list); !(median <= tt.each) {
					t.Errorf("%s: half of %d cells are off by more than %.0f %%", quantity, len(list), 100*median)
				}
			}
			if median := Median(checks); !(median <= 0.10) {
				t.Errorf("half of %d cells are off by more than %.1f %%", len(checks), 100*median)
			}
		})
	}
}
