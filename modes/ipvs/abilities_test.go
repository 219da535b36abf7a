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

// TestTableAddr: addresses of both families, as /proc/net/ip_vs_conn has them.
func TestTableAddr(t *testing.T) {
	for text, want := range map[string]string{
		"0A600001": "10.96.0.1", "fd00:0010:0096:0000:0000:0000:0000:0001": "fd00:10:96::1", "FromIP": "invalid IP", "0A60": "invalid IP",
	} {
		if got := tableAddr(text).String(); got != want {
			t.Errorf("%s is read as %s, want %s", text, got, want)
		}
	}
}
