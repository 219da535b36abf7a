package proxy

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes/packet/socket"
)

// flowIdle is how long a UDP client's flow is kept without traffic:
// kube-proxy's default of --udp-timeout.
const flowIdle = 250 * time.Millisecond

type flowKey struct {
	portal *portal
	client netip.AddrPort
}

// flow is one UDP client of a portal and its socket towards an endpoint.
type flow struct {
	key  flowKey
	to   netip.AddrPort
	fd   int
	used time.Time
	// local is the address that the client sent to. An answer from any other
	// would not be the flow's for conntrack: the kernel's own choice differs when
	// the client is on the node itself.
	local netip.Addr
}

type flowTable struct {
	byClient map[flowKey]*flow
	oob      [128]byte
}

// receive passes one datagram from a client on.
func (t *flowTable) receive(l *loop, p *portal) {
	n, oobn, _, from, err := unix.Recvmsg(p.fd, l.buf, t.oob[:], 0)
	client, ok := socket.AddrPort(from)
	if err != nil || !ok {
		return
	}
	key := flowKey{p, client}
	f := t.byClient[key]
	if f == nil {
		if f = t.open(l, key); f == nil {
			return
		}
	}
	f.used = time.Now()
	f.local, _ = socket.LocalAddress(t.oob[:oobn])
	_, _ = unix.Write(f.fd, l.buf[:n])
}

func (t *flowTable) open(l *loop, key flowKey) *flow {
	to, ok := key.portal.pick(key.client.Addr())
	if !ok {
		return nil
	}
	fd, err := unix.Socket(socket.Domain(to.Addr()), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := &flow{key: key, to: to, fd: fd}
	if unix.Connect(fd, socket.Sockaddr(to)) != nil || l.watch(fd, unix.EPOLLIN, f) != nil {
		_ = unix.Close(fd)
		return nil
	}
	t.byClient[key] = f
	return f
}

// event passes one datagram from the endpoint back.
func (f *flow) event(l *loop, _ uint32) {
	n, err := unix.Read(f.fd, l.buf)
	if err != nil {
		return // a refused datagram: the client's retry is its own affair
	}
	f.used = time.Now()
	_, _ = unix.SendmsgN(f.key.portal.fd, l.buf[:n], socket.SourceMessage(f.local), socket.Sockaddr(f.key.client), 0)
}

func (t *flowTable) expire(l *loop, now time.Time) {
	for _, f := range t.byClient {
		if now.Sub(f.used) > flowIdle {
			t.close(l, f)
		}
	}
}

// drop closes the flows of a portal, but those to endpoints that it keeps.
func (t *flowTable) drop(l *loop, p *portal, keep []netip.AddrPort) {
	for _, f := range t.byClient {
		if f.key.portal == p && !slices.Contains(keep, f.to) {
			t.close(l, f)
		}
	}
}

func (t *flowTable) close(l *loop, f *flow) {
	l.shut(f.fd)
	delete(t.byClient, f.key)
}
