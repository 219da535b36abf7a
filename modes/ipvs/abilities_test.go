package ipvs

import (
	"maps"
	"testing"
)

// TestUsualSettings: what is put back after other settings is what the options ask for.
func TestUsualSettings(t *testing.T) {
	for _, noConntrack := range []bool{false, true} {
		want := map[string]string{reuseSetting: "1", expireSetting: "1", conntrackSetting: "1"}
		if noConntrack {
			want[conntrackSetting] = "0"
		}
		if got := (Options{NoConntrack: noConntrack}).usual(); !maps.Equal(got, want) {
			t.Errorf("without conntrack %t: %v, want %v", noConntrack, got, want)
		}
	}
}
