package workload

import (
	"net/netip"
	"testing"

	"viplab/modes"
)

// TestReuseFrom: connections from reused ports start from the address that they are to start
// from, or from the kernel's choice.
func TestReuseFrom(t *testing.T) {
	s, err := Serve(Listen{Family: modes.IPv4, TCP: []uint16{25203}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	to := netip.MustParseAddrPort("127.0.0.1:25203")
	for want, from := range map[string]netip.Addr{"127.0.0.7": netip.MustParseAddr("127.0.0.7"), "127.0.0.1": {}} {
		list := Reuse(t.Context(), from, to, []uint16{25204, 25204})
		if len(list) != 2 {
			t.Fatalf("%d connections", len(list))
		}
		for _, r := range list {
			if r.Err != nil || r.Source.String() != want {
				t.Errorf("from %s: source %s, want %s; %v", from, r.Source, want, r.Err)
			}
		}
	}
}
