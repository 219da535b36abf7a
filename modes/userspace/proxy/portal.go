package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes/packet/socket"
)

// portal is one open Service port.
type portal struct {
	fd        int
	port      uint16
	udp       bool
	at        netip.Addr // all addresses of its family
	endpoints []netip.AddrPort
	next      int // round robin
	affinity  time.Duration
	sticky    map[netip.Addr]choice // by client
}

// choice is a client's endpoint under affinity.
type choice struct {
	to   netip.AddrPort
	last time.Time
}

// pick is the endpoint for a client, false if there is none.
func (p *portal) pick(client netip.Addr) (netip.AddrPort, bool) {
	if p.affinity == 0 {
		return p.rotate()
	}
	now := time.Now()
	c, known := p.sticky[client]
	if !known || now.Sub(c.last) > p.affinity || !slices.Contains(p.endpoints, c.to) {
		to, ok := p.rotate()
		if !ok {
			return to, false
		}
		c.to = to
	}
	c.last = now
	p.sticky[client] = c
	return c.to, true
}

// rotate is the next endpoint, false if there is none.
func (p *portal) rotate() (netip.AddrPort, bool) {
	if len(p.endpoints) == 0 {
		return netip.AddrPort{}, false
	}
	p.next = (p.next + 1) % len(p.endpoints)
	return p.endpoints[p.next], true
}

// portPool hands out listening ports from a range, the freed ones again last.
type portPool struct {
	next  uint16
	freed []uint16
}

func (pp *portPool) take(limits [2]uint16) (uint16, bool) {
	pp.next = max(pp.next, limits[0])
	if pp.next <= limits[1] && pp.next != 0 {
		pp.next++
		return pp.next - 1, true
	}
	if len(pp.freed) == 0 {
		return 0, false
	}
	port := pp.freed[0]
	pp.freed = pp.freed[1:]
	return port, true
}

// update carries out one Update. It stops at the first error.
func (l *loop) update(u Update) Reply {
	for _, id := range u.Delete {
		if p := l.portals[id]; p != nil {
			l.flows.drop(l, p, nil)
			l.shut(p.fd)
			l.ports.freed = append(l.ports.freed, p.port)
			delete(l.portals, id)
		}
	}
	var r Reply
	for _, want := range u.Set {
		if p := l.portals[want.ID]; p != nil {
			p.set(want)
			if p.udp {
				l.flows.drop(l, p, p.endpoints)
			}
			continue
		}
		p, err := l.open(want, u.Ports)
		if err != nil {
			r.Err = err.Error()
			return r
		}
		l.portals[want.ID] = p
		r.Opened = append(r.Opened, p.port)
	}
	return r
}

// open listens on the next free port. Ports that somebody else holds are
// passed over.
func (l *loop) open(want Portal, limits [2]uint16) (*portal, error) {
	for {
		port, ok := l.ports.take(limits)
		if !ok {
			return nil, fmt.Errorf("open portal %d: no free port from %d to %d", want.ID, limits[0], limits[1])
		}
		p := &portal{port: port, udp: want.UDP, at: want.Family.Unspecified()}
		p.set(want)
		err := p.listen()
		if err == unix.EADDRINUSE {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open portal %d on port %d after %d others: %w", want.ID, port, len(l.portals), err)
		}
		// Level-triggered: a listener's queue is taken one connection an
		// event, so a busy portal cannot starve the others.
		return p, l.watch(p.fd, unix.EPOLLIN, p)
	}
}

// set takes over what may change of a portal. Choices that clients made outlive it.
func (p *portal) set(want Portal) {
	p.endpoints, p.affinity = want.Endpoints, want.Affinity
	if p.affinity > 0 && p.sticky == nil {
		p.sticky = map[netip.Addr]choice{}
	}
}

func (p *portal) listen() error {
	typ := unix.SOCK_STREAM
	if p.udp {
		typ = unix.SOCK_DGRAM
	}
	fd, err := socket.Listener(p.at, typ, 0)
	if err != nil {
		return err
	}
	p.fd = fd
	if err = unix.Bind(fd, socket.Sockaddr(netip.AddrPortFrom(p.at, p.port))); err == nil && !p.udp {
		// Accepted sockets inherit TCP_NODELAY from the listener.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		err = unix.Listen(fd, 1024)
	}
	if err != nil {
		_ = unix.Close(fd)
	}
	return err
}

func (p *portal) event(l *loop, _ uint32) {
	if p.udp {
		l.flows.receive(l, p)
		return
	}
	fd, err := socket.Accept(p.fd)
	if err != nil {
		return
	}
	l.join(p, fd)
}
