package workload

import (
	"context"
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
	for range 3 {
		got, err := Iperf(context.Background(), server, netip.MustParseAddrPort("127.0.0.1:25201"), time.Second)
		if err != nil || got.Bits <= 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}
