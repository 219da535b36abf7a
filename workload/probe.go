package workload

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/packet/socket"
)

// Timeout is how long a probe waits for an answer, unless it is told otherwise.
const Timeout = 2 * time.Second

// Prober sends single flows from the namespace of its thread. Each flow has a
// local port that this Prober never used before, so that the node has no
// conntrack entry for it.
type Prober struct {
	// Source is the address that flows start from, the kernel's choice if it
	// is not valid.
	Source netip.Addr
	// Wait is how long to wait for an answer, [Timeout] if 0.
	Wait time.Duration

	next [2]uint16 // next local port, TCP and UDP
}

// Local ports of probes: above the ports of services, below those that the
// kernel gives to others.
const firstLocal, lastLocal = 1024, 65535

func (p *Prober) socket(proto modes.Protocol, to netip.AddrPort) (int, error) {
	typ, which, number := unix.SOCK_STREAM, 0, 0
	switch proto {
	case modes.UDP:
		typ, which = unix.SOCK_DGRAM, 1
	case modes.SCTP:
		number = unix.IPPROTO_SCTP
	}
	fd, err := unix.Socket(socket.Domain(to.Addr()), typ|unix.SOCK_CLOEXEC, number)
	if err != nil {
		return 0, fmt.Errorf("probe %s: %w", to, err)
	}
	tv := unix.NsecToTimeval(cmp.Or(p.Wait, Timeout).Nanoseconds())
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	}
	if err == nil && typ == unix.SOCK_STREAM {
		// Closing resets the connection: probes leave no TIME_WAIT behind.
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	if err == nil && proto == modes.SCTP && to.Addr().Is4() {
		// SCTP passes an ICMP error over, unless its socket asks for it.
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	}
	for tries := 0; err == nil && tries < 1000; tries++ {
		if p.next[which] < firstLocal {
			p.next[which] = firstLocal
		}
		port := p.next[which]
		p.next[which]++ // wraps to 0 after 65535, and so to firstLocal
		from := modes.FamilyOf(to.Addr()).Unspecified()
		if p.Source.IsValid() {
			from = p.Source
		}
		if err = unix.Bind(fd, socket.Sockaddr(netip.AddrPortFrom(from, port))); err == nil {
			return fd, nil
		}
		if err == unix.EADDRINUSE {
			err = nil
		}
	}
	_ = unix.Close(fd)
	return 0, fmt.Errorf("probe %s: %w", to, err)
}

// FirstPacket is the round trip of the first packet of a new flow: for TCP
// from SYN to SYN-ACK as connect(2) sees it, for UDP one datagram and its echo.
// Opening and binding the socket are not in it. Call it inside [Quiet].
func (p *Prober) FirstPacket(proto modes.Protocol, to netip.AddrPort) (time.Duration, error) {
	fd, err := p.socket(proto, to)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if proto == modes.TCP {
		start := clock.Now()
		err := socket.Connect(fd, to)
		took := clock.Since(start)
		if err != nil {
			return 0, fmt.Errorf("connect to %s: %w", to, err)
		}
		return took, nil
	}
	var buf [64]byte
	if err := socket.Connect(fd, to); err != nil {
		return 0, fmt.Errorf("connect to %s: %w", to, err)
	}
	start := clock.Now()
	_, err = socket.Write(fd, []byte{askOnce})
	if err == nil {
		_, err = socket.Read(fd, buf[:])
	}
	took := clock.Since(start)
	if err != nil {
		return 0, fmt.Errorf("udp echo of %s: %w", to, err)
	}
	return took, nil
}

// NewProber makes a Prober that begins at a local port, for several that work in one
// namespace at once.
func NewProber(firstPort uint16) *Prober { return &Prober{next: [2]uint16{firstPort, firstPort}} }

// Open opens a TCP connection, makes one request on it and leaves it open for
// [AskAgain].
func Open(to netip.AddrPort) (fd int, err error) {
	if fd, err = unix.Socket(socket.Domain(to.Addr()), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("connect to %s: %w", to, err)
	}
	tv := unix.NsecToTimeval(Timeout.Nanoseconds())
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	if err = retry(func() error { return unix.Connect(fd, socket.Sockaddr(to)) }); err == nil {
		err = AskAgain(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("open a connection to %s: %w", to, err)
	}
	return fd, nil
}

// AskAgain makes one more request on an open connection.
func AskAgain(fd int) error {
	_, err := exchange(fd, askAgain)
	return err
}

// Send is how long the system call lasts that sends the SYN of a new flow,
// without waiting for an answer. On the node itself the packet goes through
// OUTPUT within that call, on the caller's own time: no answer, no other thread
// and no wake-up is in it. It waits for the answer afterwards, and fails if that is a
// refusal. Call it inside [Quiet].
func (p *Prober) Send(to netip.AddrPort) (time.Duration, error) {
	fd, err := p.socket(modes.TCP, to)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return 0, fmt.Errorf("send to %s: %w", to, err)
	}
	start := clock.Now()
	err = socket.Connect(fd, to)
	took := clock.Since(start)
	if err != nil && err != unix.EINPROGRESS {
		return 0, fmt.Errorf("send to %s: %w", to, err)
	}
	if err := connected(fd); err != nil {
		return 0, fmt.Errorf("send to %s: %w", to, err)
	}
	return took, nil
}

// connected waits until a socket that does not block is connected.
func connected(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n := 0
	err := retry(func() (err error) { n, err = unix.Poll(poll, int(Timeout.Milliseconds())); return err })
	if err != nil || n == 0 {
		return fmt.Errorf("no answer: %w", cmp.Or(err, error(unix.ETIMEDOUT)))
	}
	// A socket that was refused can be written to as well.
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// Accepted tells whether somebody accepts a connection; the error says why not. An ICMP error
// comes while connect(2) still has the socket, and ends it when the SYN is sent again, after
// a second: here it is known at once.
func (p *Prober) Accepted(to netip.AddrPort) error {
	fd, err := p.socket(modes.TCP, to)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if to.Addr().Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	if err = unix.SetsockoptInt(fd, level, option, 1); err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = socket.Connect(fd, to)
	}
	if err == nil || err == unix.EINPROGRESS {
		err = connected(fd)
	}
	if err != nil {
		return fmt.Errorf("connect to %s: %w", to, err)
	}
	return nil
}

// Established opens one flow and measures the round trips of n requests on it,
// after one that is not counted. Call it inside [Quiet].
func (p *Prober) Established(proto modes.Protocol, to netip.AddrPort, n int) ([]time.Duration, error) {
	fd, err := p.socket(proto, to)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := socket.Connect(fd, to); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	}
	if proto == modes.TCP {
		socket.NoDelay(fd)
	}
	var buf [64]byte
	took := make([]time.Duration, 0, n+1)
	for range n + 1 {
		start := clock.Now()
		_, err := socket.Write(fd, []byte{askAgain})
		if err == nil {
			_, err = socket.Read(fd, buf[:])
		}
		if err != nil {
			return nil, fmt.Errorf("request to %s on an established flow: %w", to, err)
		}
		took = append(took, clock.Since(start))
	}
	return took[1:], nil
}

// Ask opens a new flow, sends one request and returns the address of the
// endpoint that answered.
func (p *Prober) Ask(proto modes.Protocol, to netip.AddrPort) (netip.Addr, error) {
	a, err := p.ask(proto, to, askOnce)
	return a.Endpoint, err
}

// Answer is what an endpoint says of a request.
type Answer struct {
	Endpoint netip.Addr // the address that it was reached at
	Source   netip.Addr // the address that the request came from, as it saw it
}

// AskBoth is Ask that also learns which source address the endpoint saw.
func (p *Prober) AskBoth(proto modes.Protocol, to netip.AddrPort) (Answer, error) {
	a, err := p.ask(proto, to, askBoth)
	if err == nil && !a.Source.IsValid() {
		return a, fmt.Errorf("ask %s over %s: the answer names no source", to, proto)
	}
	return a, err
}

func (p *Prober) ask(proto modes.Protocol, to netip.AddrPort, request byte) (answer Answer, err error) {
	fd, err := p.socket(proto, to)
	if err != nil {
		return answer, err
	}
	defer unix.Close(fd)
	if err := retry(func() error { return unix.Connect(fd, socket.Sockaddr(to)) }); err != nil {
		// An ICMP error does not end SCTP's waiting, but stays with the socket.
		if code, serr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); serr == nil && code != 0 {
			err = unix.Errno(code)
		}
		return answer, fmt.Errorf("connect to %s: %w", to, err)
	}
	if answer, err = exchange(fd, request); err != nil {
		return answer, fmt.Errorf("ask %s over %s: %w", to, proto, err)
	}
	return answer, nil
}

// exchange sends one request on a connected socket and reads the answer.
func exchange(fd int, request byte) (answer Answer, err error) {
	var buf [128]byte
	n := 0
	if err = retry(func() error { _, err := unix.Write(fd, []byte{request}); return err }); err == nil {
		err = retry(func() (err error) {
			n, err = unix.Read(fd, buf[:])
			return err
		})
	}
	if err != nil {
		return answer, err
	}
	text := strings.TrimPrefix(string(buf[:n]), string(rune(request)))
	endpoint, source, both := strings.Cut(strings.TrimSpace(text), " ")
	if answer.Endpoint, err = netip.ParseAddr(endpoint); err != nil {
		return answer, fmt.Errorf("answer %q names no endpoint", text)
	}
	if both {
		if answer.Source, err = netip.ParseAddr(source); err != nil {
			return answer, fmt.Errorf("answer %q names no source", text)
		}
	}
	return answer, nil
}

// retry goes on after a signal, which Go's runtime sends now and then and which
// ends a system call that has a timeout.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
