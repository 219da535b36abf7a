package workload

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes/packet/socket"
)

// deaf listens where SYNs are dropped: nobody accepts, and the queue is full.
func deaf(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(listener) })
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(listener, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(listener)
	if err != nil {
		t.Fatal(err)
	}
	to, _ := socket.AddrPort(name)
	for range 3 { // a queue of length 0 has room for one
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		_ = unix.Connect(fd, socket.Sockaddr(to)) // under way
	}
	return to
}

// TestConnectEnds: a connection whose SYN is dropped fails in time, not when the kernel has
// sent all its SYNs, two minutes later.
func TestConnectEnds(t *testing.T) {
	to, ended := deaf(t), make(chan error, 1)
	go func() { ended <- askOneConnection(to, make([]byte, 64)) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it is connected")
		}
	case <-time.After(3 * Timeout):
		t.Errorf("it has not ended within %s", 3*Timeout)
	}
}
