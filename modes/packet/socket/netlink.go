package socket

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Netlink is a netlink socket whose calls block. Go's poller, to which other packages
// hand theirs, wakes a thread for each answer, though the kernel has answered when the
// send returns: that took 60 µs, as long as nf_tables takes for a Service. Its calls may
// take long, so the scheduler is told of them.
type Netlink int

// OpenNetlink opens one for a protocol of netlink(7), in the network namespace of the
// calling thread. An error answers with the header of the request only
// (NETLINK_CAP_ACK), so that an answer never outgrows a buffer.
func OpenNetlink(protocol int) (Netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, fmt.Errorf("open netlink socket %d: %w", protocol, err)
	}
	if err = unix.Bind(fd, kernel()); err != nil {
		err = fmt.Errorf("bind netlink socket %d: %w", protocol, err)
	} else if err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1); err != nil {
		err = fmt.Errorf("set NETLINK_CAP_ACK: %w", err)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return Netlink(fd), nil
}

// kernel is the kernel's address; for bind(2) it lets the kernel choose one.
func kernel() unix.Sockaddr { return &unix.SockaddrNetlink{Family: unix.AF_NETLINK} }

// Send gives messages to the kernel, which carries out what it is asked for before the
// call returns.
func (n Netlink) Send(messages []byte) error {
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Sendto(int(n), messages, 0, kernel())
	}
	if err != nil {
		return fmt.Errorf("send netlink messages: %w", err)
	}
	return nil
}

// Receive reads what the kernel has answered to one message, or nothing if there is
// none.
func (n Netlink) Receive(b []byte) ([]byte, error) {
	for {
		got, _, err := unix.Recvfrom(int(n), b, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("receive netlink answer: %w", err)
		default:
			return b[:got], nil
		}
	}
}

// Await waits until there is an answer, up to a time.
func (n Netlink) Await(patience time.Duration) error {
	poll := []unix.PollFd{{Fd: int32(n), Events: unix.POLLIN}}
	for {
		switch ready, err := unix.Poll(poll, int(patience.Milliseconds())); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for a netlink answer: %w", err)
		case ready == 0:
			return fmt.Errorf("no netlink answer within %s", patience)
		default:
			return nil
		}
	}
}

// Close closes the socket.
func (n Netlink) Close() error { return unix.Close(int(n)) }
