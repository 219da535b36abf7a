package workload

import (
	"net/netip"
	"testing"
	"time"

	"viplab/modes"
)

// TestIperfClients: one client after the other is served, however soon it comes.
func TestIperfClients(t *testing.T) {
	server, err := StartIperf(modes.IPv4, 25201)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	to := netip.MustParseAddrPort("127.0.0.1:25201")
	for range 3 {
		rate, err := IperfRate(t.Context(), server, to)
		if err != nil || rate <= 0 {
			t.Fatalf("%g, %v", rate, err)
		}
		got, err := Iperf(t.Context(), server, to, 200*time.Millisecond, rate)
		if err != nil || got.Bits <= 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}
