package proxy

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"viplab/modes/packet/socket"
)

// pair is one proxied TCP connection: the client's socket and the endpoint's.
//
// When the endpoint ends the connection both sockets close, as in kube-proxy;
// when the client ends it, the endpoint is told and may still answer.
type pair struct {
	portal    *portal
	client    side
	server    side
	connected bool
	tries     int
	closed    bool
}

// side is one socket of a pair. Bytes received on it go to its peer.
type side struct {
	pair    *pair
	peer    *side
	fd      int
	pending []byte // received here, not yet taken by the peer
	pipe    *pipe  // bulk data in flight from here to the peer
	more    bool   // there may be more to receive
	hungUp  bool   // an end is waiting behind the last data
	ended   bool   // nothing more will come
	told    bool   // the peer was told so
}

// join connects an accepted client to an endpoint.
func (l *loop) join(p *portal, client int) {
	c := &pair{portal: p}
	c.client = side{pair: c, peer: &c.server, fd: client}
	c.server = side{pair: c, peer: &c.client, fd: -1}
	if !l.dial(c) {
		_ = unix.Close(client)
		return
	}
	if l.watch(client, interest, &c.client) != nil {
		_ = unix.Close(client)
		l.shut(c.server.fd)
		c.closed = true
	}
}

// choose is the endpoint to try next. Under affinity it is the client's own; one
// that cannot be reached loses the client to the next.
func (c *pair) choose() netip.AddrPort {
	if c.portal.affinity == 0 {
		to, _ := c.portal.rotate()
		return to
	}
	client, ok := socket.Peer(c.client.fd)
	if !ok {
		to, _ := c.portal.rotate()
		return to
	}
	if c.tries > 1 {
		delete(c.portal.sticky, client)
	}
	to, _ := c.portal.pick(client)
	return to
}

// dial starts connecting to the next endpoint; it says false when every
// endpoint has been tried.
func (l *loop) dial(c *pair) bool {
	for c.tries < len(c.portal.endpoints) {
		c.tries++
		to := c.choose()
		fd, err := socket.Socket(to.Addr(), unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
		if err != nil {
			return false
		}
		socket.NoDelay(fd)
		err = socket.Connect(fd, to)
		if err != nil && !errors.Is(err, unix.EINPROGRESS) {
			_ = unix.Close(fd)
			continue
		}
		c.server.fd = fd
		if l.watch(fd, interest, &c.server) != nil {
			_ = unix.Close(fd)
			return false
		}
		return true
	}
	return false
}

func (s *side) event(l *loop, events uint32) {
	c := s.pair
	if c.closed {
		return
	}
	if s == &c.server && !c.connected {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			l.shut(s.fd)
			if !l.dial(c) {
				l.shut(c.client.fd)
				c.closed = true
			}
			return
		}
		c.connected = events&unix.EPOLLOUT != 0
		if c.connected {
			l.pump(&c.client)
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.more = true
		s.hungUp = s.hungUp || events&unix.EPOLLIN == 0 || events&unix.EPOLLRDHUP != 0
		if !c.closed && c.connected {
			l.pump(s)
		}
	}
	if events&unix.EPOLLOUT != 0 && !c.closed && c.connected && (len(s.peer.pending) > 0 || s.peer.more) {
		l.pump(s.peer)
	}
}

// pump moves what came in on s to its peer until one of them would block.
func (l *loop) pump(s *side) {
	for !s.pair.closed {
		if !l.drain(s) {
			return
		}
		if !s.more || s.ended {
			break
		}
		if s.pipe != nil {
			if !l.splice(s) {
				return
			}
			continue
		}
		l.receive(s)
	}
	if s.pair.closed || !s.ended || s.told {
		return
	}
	s.told = true
	if s == &s.pair.server || s.peer.ended {
		l.finish(s.pair)
		return
	}
	_ = unix.Shutdown(s.peer.fd, unix.SHUT_WR)
}

// receive takes one bufferful and tries to pass it on at once.
func (l *loop) receive(s *side) {
	n, err := socket.Read(s.fd, l.buf)
	switch {
	case n > 0:
		// A short read empties the socket; news will come as a new edge.
		s.more = n == len(l.buf) || s.hungUp
		sent := l.send(s, l.buf[:n])
		if sent < n && !s.pair.closed {
			s.pending = append(s.pending[:0], l.buf[sent:n]...)
		}
		if n == len(l.buf) {
			s.pipe = newPipe()
		}
	case n == 0:
		s.ended = true
	case errors.Is(err, unix.EAGAIN):
		s.more = false
	case errors.Is(err, unix.EINTR):
	default:
		l.finish(s.pair)
	}
}

// drain sends what is pending and says whether all of it went.
func (l *loop) drain(s *side) bool {
	if len(s.pending) > 0 {
		n := l.send(s, s.pending)
		if s.pair.closed {
			return false
		}
		s.pending = s.pending[n:]
		if len(s.pending) > 0 {
			return false
		}
		s.pending = nil
	}
	return s.pipe == nil || s.pipe.held == 0 || l.drainPipe(s)
}

func (l *loop) send(s *side, b []byte) int {
	sent := 0
	for sent < len(b) {
		n, err := socket.Send(s.peer.fd, b[sent:])
		if n > 0 {
			sent += n
			continue
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if !errors.Is(err, unix.EAGAIN) {
			l.finish(s.pair)
		}
		return sent
	}
	return sent
}

// finish closes both sockets.
func (l *loop) finish(c *pair) {
	if c.closed {
		return
	}
	c.closed = true
	l.shut(c.client.fd)
	l.shut(c.server.fd)
	c.client.pipe.close()
	c.server.pipe.close()
}
