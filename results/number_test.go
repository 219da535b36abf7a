package results

import "testing"

func TestNumber(t *testing.T) {
	for text, ok := range map[string]bool{"1.5": true, "-2e3": true, "NaN": false, "inf": false, "-Inf": false, "1e999": false, "": false, "5%": false} {
		if _, err := Number(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
