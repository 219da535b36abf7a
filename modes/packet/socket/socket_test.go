package socket

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// itself is a UDP socket of loopback that is connected to itself.
func itself(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, Sockaddr(netip.MustParseAddrPort("127.0.0.1:0"))); err != nil {
		tb.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err == nil {
		err = unix.Connect(fd, at)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return fd
}

func TestEcho(t *testing.T) {
	fd := itself(t)
	buf := make([]byte, 8)
	if n, err := Send(fd, []byte("hello")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := Read(fd, buf); err != nil || string(buf[:n]) != "hello" {
		t.Fatal(n, err)
	}
	if _, err := Read(-1, buf); err != unix.EBADF {
		t.Errorf("read of no descriptor: %v", err)
	}
}

// BenchmarkEcho is a datagram sent and read again: by this package, by ordinary system
// calls, and by package net. The difference is what this package is for; in a guest, where
// a monitor thread's wake-ups cost much more, it is larger.
func BenchmarkEcho(b *testing.B) {
	one, buf := []byte("x"), make([]byte, 8)
	b.Run("socket", func(b *testing.B) {
		fd := itself(b)
		for b.Loop() {
			_, _ = Send(fd, one)
			_, _ = Read(fd, buf)
		}
	})
	b.Run("syscall", func(b *testing.B) {
		fd := itself(b)
		for b.Loop() {
			_, _ = unix.Write(fd, one)
			_, _ = unix.Read(fd, buf)
		}
	})
	b.Run("net", func(b *testing.B) {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		to := c.LocalAddr()
		for b.Loop() {
			_, _ = c.WriteTo(one, to)
			_, _, _ = c.ReadFrom(buf)
		}
	})
}
