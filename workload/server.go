package workload

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/packet/socket"
)

// Request bytes: the server answers each with the address that it was reached
// at, as text and a newline.
const (
	askOnce  = 'c' // answer and close
	askBoth  = 'b' // the same, with a blank and the address that the request came from
	askAgain = 'k' // answer and keep the connection
)

// Server answers for every endpoint of the backend namespace: it listens on all
// addresses and names the one that a client reached, so that a probe learns
// which endpoint served it. TCP answers requests, UDP echoes the datagram's
// first byte and the name.
type Server struct {
	epoll int
	stop  int // eventfd
	tcp   map[int]bool
	udp   map[int]bool
	done  chan struct{}
}

// Listen is what a Server listens on: ports of all addresses, of SCTP single
// addresses. (SCTP tells its peer all addresses that it listens on and answers from
// the one that its route prefers, so it must know no other.)
type Listen struct {
	Family   modes.Family
	TCP, UDP []uint16
	SCTP     []netip.AddrPort
}

// Serve starts a Server.
func Serve(on Listen) (*Server, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	s := &Server{epoll: ep, tcp: map[int]bool{}, udp: map[int]bool{}, done: make(chan struct{})}
	if s.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	err = s.watch(s.stop)
	for _, f := range on.Family.Parts() {
		for _, p := range on.TCP {
			err = errors.Join(err, s.listen(unix.SOCK_STREAM, 0, netip.AddrPortFrom(f.Unspecified(), p), s.tcp))
		}
		for _, p := range on.UDP {
			err = errors.Join(err, s.listen(unix.SOCK_DGRAM, 0, netip.AddrPortFrom(f.Unspecified(), p), s.udp))
		}
	}
	for _, at := range on.SCTP {
		err = errors.Join(err, s.listen(unix.SOCK_STREAM, unix.IPPROTO_SCTP, at, s.tcp))
	}
	if err != nil {
		s.closeAll()
		return nil, err
	}
	go s.run()
	return s, nil
}

func (s *Server) watch(fd int) error {
	return os.NewSyscallError("epoll_ctl", socket.Watch(s.epoll, fd, unix.EPOLLIN))
}

func (s *Server) listen(typ, protocol int, at netip.AddrPort, into map[int]bool) error {
	fd, err := socket.Listener(at.Addr(), typ, protocol)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", at, err)
	}
	into[fd] = true
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	err = unix.Bind(fd, socket.Sockaddr(at))
	if err == nil && typ == unix.SOCK_STREAM {
		if protocol == 0 {
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		}
		err = unix.Listen(fd, 4096)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", at, err)
	}
	return s.watch(fd)
}

func (s *Server) run() {
	runtime.LockOSThread()
	defer close(s.done)
	defer s.closeAll()
	// Where client and server share a CPU, a woken server would run before
	// the client, whose answer is there already, can read the clock. Batch
	// scheduling keeps it from pushing the client aside.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH}, 0)
	poll := &socket.Poller{Epoll: s.epoll}
	buf, oob := make([]byte, 2048), make([]byte, 128)
	for {
		events, err := poll.Wait(-1)
		if err != nil {
			return
		}
		for _, ev := range events {
			fd := int(ev.Fd)
			switch {
			case fd == s.stop:
				return
			case s.tcp[fd]:
				if c, err := socket.Accept(fd); err == nil && s.watch(c) != nil {
					socket.Close(c)
				}
			case s.udp[fd]:
				echo(fd, buf, oob)
			default:
				s.answer(fd, buf)
			}
		}
	}
}

// answer serves one request of an accepted connection.
func (s *Server) answer(fd int, buf []byte) {
	n, err := socket.Read(fd, buf)
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if n > 0 {
		if local, ok := socket.Local(fd); ok {
			name := local.AppendTo(buf[:0:cap(buf)][1024:1024])
			if buf[n-1] == askBoth {
				if peer, ok := socket.Peer(fd); ok {
					name = peer.AppendTo(append(name, ' '))
				}
			}
			_, _ = socket.Send(fd, append(name, '\n'))
			if buf[n-1] == askAgain {
				return
			}
		}
	}
	s.drop(fd)
}

// drop closes a connection. Closing alone does not always end the kernel's watch over it:
// a process that is being started holds a copy until it has begun its program, and an event
// would then be told under a number that is another file's by now, which answer would close.
// Such a file was the input of iptables-restore, which saw it end early.
func (s *Server) drop(fd int) {
	_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	socket.Close(fd)
}

// echo answers one datagram from the address that it was sent to.
func echo(fd int, buf, oob []byte) {
	n, oobn, _, from, err := unix.Recvmsg(fd, buf[:1024], oob, 0)
	if err != nil || n == 0 {
		return
	}
	local, ok := socket.LocalAddress(oob[:oobn])
	if !ok {
		return
	}
	reply := local.AppendTo(buf[:1])
	if client, ok := socket.AddrPort(from); ok && buf[0] == askBoth {
		reply = client.Addr().AppendTo(append(reply, ' '))
	}
	_, _ = unix.SendmsgN(fd, append(reply, '\n'), socket.SourceMessage(local), from, 0)
}

// Close stops the Server and waits for it.
func (s *Server) Close() {
	_, _ = unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-s.done
}

func (s *Server) closeAll() {
	for fd := range s.tcp {
		_ = unix.Close(fd)
	}
	for fd := range s.udp {
		_ = unix.Close(fd)
	}
	_ = unix.Close(s.stop)
	_ = unix.Close(s.epoll)
}
