package workload

import (
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

// TestOnlyItsOwn: the server touches no file that has come under the number of a
// connection that it closed, though somebody else holds a copy of that connection, as a
// process that is being started does.
func TestOnlyItsOwn(t *testing.T) {
	s, err := Serve(Listen{Family: modes.IPv4, TCP: []uint16{25202}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("tcp", "127.0.0.1:25202")
	if err != nil {
		t.Fatal(err)
	}
	fd := acceptedFrom(t, c.LocalAddr().(*net.TCPAddr).Port)
	held, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(held)
	if _, err := c.Write([]byte{askOnce}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !open(fd) }, "the server closes the connection")
	var others []int
	for !slices.Contains(others, fd) && len(others) < 1000 {
		other, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, other)
	}
	if err := c.Close(); err != nil { // which is an event of the copy that is held
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if !open(fd) {
		t.Error("the server closed a file that is not its own")
	}
	for _, other := range others {
		_ = unix.Close(other)
	}
}

func open(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// acceptedFrom is the descriptor of the connection whose client has a local port.
func acceptedFrom(t *testing.T, port int) (fd int) {
	t.Helper()
	eventually(t, func() bool {
		for fd = 3; fd < 1000; fd++ {
			if peer, err := unix.Getpeername(fd); err == nil {
				if in, ok := peer.(*unix.SockaddrInet4); ok && in.Port == port {
					return true
				}
			}
		}
		return false
	}, "the server accepts the connection")
	return fd
}

func eventually(t *testing.T, is func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}
