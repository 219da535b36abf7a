// Package socket is a handful of system calls on sockets that bypass Go's
// scheduler, for threads that do nothing but move packets.
//
// Around an ordinary system call Go keeps books, and a monitor thread wakes
// every 20 µs as long as calls last longer than that. In a guest where a system
// call costs several microseconds this doubles the latency that a probe sees.
// Here the scheduler does not notice that the thread is away. The price: the
// garbage collector has to wait for the call, so a call that may block must be
// bounded, as [Wait] is.
package socket

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

func result(r uintptr, e unix.Errno) (int, error) {
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}

// Read is read(2), begun again if a signal ends it, which happens to sockets with a timeout
// when a process that was stopped goes on (signal(7)). So are Write and Connect.
func Read(fd int, b []byte) (int, error) { return transfer(unix.SYS_READ, fd, b) }

// Write is write(2).
func Write(fd int, b []byte) (int, error) { return transfer(unix.SYS_WRITE, fd, b) }

func transfer(call uintptr, fd int, b []byte) (int, error) {
	for {
		r, _, e := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if e != unix.EINTR {
			return result(r, e)
		}
	}
}

// Send is send(2) without a signal when the peer is gone.
func Send(fd int, b []byte) (int, error) {
	r, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return result(r, e)
}

// Close is close(2).
func Close(fd int) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// Socket is socket(2) for talking to an address of the given one's family, with
// close-on-exec.
func Socket(to netip.Addr, typ int) (int, error) {
	r, _, e := unix.RawSyscall(unix.SYS_SOCKET, uintptr(Domain(to)), uintptr(typ|unix.SOCK_CLOEXEC), 0)
	return result(r, e)
}

// Connect is connect(2).
func Connect(fd int, to netip.AddrPort) error {
	if to.Addr().Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: bigEndian(to.Port()), Addr: to.Addr().As4()}
		return connect(fd, unsafe.Pointer(&sa), unix.SizeofSockaddrInet4)
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: bigEndian(to.Port()), Addr: to.Addr().As16()}
	return connect(fd, unsafe.Pointer(&sa), unix.SizeofSockaddrInet6)
}

func connect(fd int, sa unsafe.Pointer, size uintptr) error {
	for {
		_, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(sa), size)
		switch e {
		case 0:
			return nil
		case unix.EINTR: // the kernel goes on; the next call waits for the same connection
		default:
			return e
		}
	}
}

func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)})
}

// Accept is accept4(2) for a non-blocking connection.
func Accept(fd int) (int, error) {
	r, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return result(r, e)
}

// NoDelay sets TCP_NODELAY.
func NoDelay(fd int) {
	one := int32(1)
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, uintptr(unsafe.Pointer(&one)), 4, 0)
}

// Watch adds a descriptor to an epoll instance.
func Watch(epoll, fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	_, _, e := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// Poller waits for events of an epoll instance.
type Poller struct {
	Epoll  int
	Events [128]unix.EpollEvent
	busy   bool
}

// busyWait bounds, in milliseconds, a wait that the scheduler does not notice.
const busyWait = 2

// Wait returns the next events, none when the timeout (in milliseconds, -1 for
// ever) has passed. As long as events follow each other closely the scheduler
// is not told of the wait; when none comes for a while it is.
func (p *Poller) Wait(timeout int) ([]unix.EpollEvent, error) {
	if p.busy && (timeout < 0 || timeout > busyWait) {
		r, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.Epoll), uintptr(unsafe.Pointer(&p.Events[0])), uintptr(len(p.Events)), busyWait, 0, 0)
		if n, err := result(r, e); n > 0 || err != nil {
			return p.Events[:max(n, 0)], ignoreInterrupt(err)
		}
	}
	n, err := unix.EpollWait(p.Epoll, p.Events[:], timeout)
	p.busy = n > 0
	return p.Events[:max(n, 0)], ignoreInterrupt(err)
}

func ignoreInterrupt(err error) error {
	if err == unix.EINTR {
		return nil
	}
	return err
}
