package workload

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSendRefused: a SYN that is refused is not answered.
func TestSendRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to, prober := netip.MustParseAddrPort(l.Addr().String()), &Prober{}
	send := func() error { return Quiet(func() error { _, err := prober.Send(to); return err }) }
	if err := send(); err != nil {
		t.Errorf("to a listener: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := send(); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("to nobody: %v", err)
	}
}
