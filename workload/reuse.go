package workload

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/packet/socket"
)

// Reused is one connection from a local port that was used before.
type Reused struct {
	Connect time.Duration // until connect(2) returned
	Answer
	Err error
}

// reuseTimeout bounds a connection: a SYN that is dropped is sent again after one
// second.
const reuseTimeout = 2500 * time.Millisecond

// Reuse opens one connection after another from each of the given local ports, in
// turn, as a client behind a small range of ports does. They start from an address, the
// kernel's choice if it is not valid. The server closes first,
// so the ports are free for the client, while IPVS and conntrack keep the flows
// before in TIME_WAIT.
func Reuse(ctx context.Context, from netip.Addr, to netip.AddrPort, ports []uint16) []Reused {
	out := make([]Reused, 0, len(ports))
	for _, port := range ports {
		if ctx.Err() != nil {
			break
		}
		out = append(out, reuseOnce(netip.AddrPortFrom(from, port), to))
	}
	return out
}

func reuseOnce(from, to netip.AddrPort) (r Reused) {
	if !from.Addr().IsValid() {
		from = netip.AddrPortFrom(modes.FamilyOf(to.Addr()).Unspecified(), from.Port())
	}
	fd, err := unix.Socket(socket.Domain(to.Addr()), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Reused{Err: fmt.Errorf("connect to %s: %w", to, err)}
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(reuseTimeout.Nanoseconds())
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, socket.Sockaddr(from)); err != nil {
		return Reused{Err: fmt.Errorf("bind %s: %w", from, err)}
	}
	start := time.Now()
	err = retry(func() error { return unix.Connect(fd, socket.Sockaddr(to)) })
	r.Connect = time.Since(start)
	if err != nil {
		r.Err = fmt.Errorf("connect to %s from %s: %w", to, from, err)
		return r
	}
	answer, err := exchange(fd, askBoth)
	if err != nil {
		r.Err = fmt.Errorf("ask %s from %s: %w", to, from, err)
		return r
	}
	r.Answer = answer
	var rest [8]byte
	_ = retry(func() error { _, err := unix.Read(fd, rest[:]); return err }) // the server's end
	return r
}
