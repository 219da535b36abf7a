package modetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// command runs a command in the node's namespace.
func (b *Rig) command(line string) {
	b.t.Helper()
	words := strings.Fields(line)
	err := b.Net.Node.Do(func() error {
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
		return nil
	})
	if err != nil {
		b.t.Error(err)
	}
}

// anew is what the kernel holds once the mode was closed and began again.
func (b *Rig) anew(s modes.Snapshot) string {
	b.t.Helper()
	if err := b.Net.Node.Do(b.Proxier.Close); err != nil {
		b.t.Fatal(err)
	}
	b.Program(s)
	return sortedLines(b.State())
}

// exchange: within one sync a node port goes to another Service, two Services swap
// theirs, and two exchange their pods.
func exchange(t *testing.T, m modes.Mode) {
	b := NewRig(t, m, nil, synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1})
	with := func(s modes.Snapshot, i int, change func(*modes.Service)) modes.Snapshot {
		svc := *s.Services[i]
		svc.Ports = slices.Clone(svc.Ports)
		change(&svc)
		return s.With(&svc)
	}
	port := func(n uint16) func(*modes.Service) { return func(s *modes.Service) { s.Ports[0].NodePort = n } }
	owns := func(n uint16, svc *modes.Service) {
		t.Helper()
		from, err := b.Ask(b.Net.Client, b.Prober, modes.TCP, netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), n))
		if err != nil || svc.Index(from) < 0 {
			t.Errorf("node port %d is answered by %s, %v; want one of %v", n, from, err, svc.Endpoints)
		}
	}
	s := with(with(b.Snapshot, 0, port(30541)), 1, port(30542))
	b.Program(s)
	owns(30541, s.Services[0])
	s = with(with(s, 0, port(30542)), 1, port(30541))
	b.Program(s)
	owns(30541, s.Services[1])
	owns(30542, s.Services[0])
	s = with(s, 2, port(30541)).Without(1)
	b.Program(s)
	owns(30541, s.Services[1])
	one, two := s.Services[0].Endpoints, s.Services[1].Endpoints
	s = with(with(s, 0, func(svc *modes.Service) { svc.Endpoints = two }), 1, func(svc *modes.Service) { svc.Endpoints = one })
	b.Program(s)
	owns(30542, s.Services[0])
	owns(30541, s.Services[1])
	if err := b.Validate(false); err != nil {
		t.Error(err)
	}
}

// nodeAddresses: node ports follow the node's addresses, and an address that a Service
// has comes to the node and goes again without harm.
func nodeAddresses(t *testing.T, m modes.Mode, o Options) {
	b := NewRig(t, m, nil, synth.Spec{Services: 2, Endpoints: 1, Ports: 1, Seed: 1})
	b.Snapshot.Node.Addrs = nil // the mode is to find them itself
	outer := netip.MustParseAddr("10.111.6.6")
	svc := *b.Snapshot.Services[0]
	svc.Ports = slices.Clone(svc.Ports)
	svc.Ports[0].NodePort, svc.ExternalIPs = 30641, []netip.Addr{outer}
	b.Program(b.Snapshot.With(&svc))
	asked := func(at netip.AddrPort) {
		t.Helper()
		if from, err := b.Ask(b.Net.Client, b.Prober, modes.TCP, at); err != nil || svc.Index(from) < 0 {
			t.Errorf("%s is answered by %s, %v", at, from, err)
		}
	}
	again := func() { // some change, so that there is something to sync
		other := *b.Snapshot.Services[1]
		b.Program(b.Snapshot.With(&other))
	}
	came := netip.MustParseAddr("10.64.7.7")
	for _, a := range []netip.Addr{came, outer} {
		b.command(fmt.Sprintf("ip addr add %s/32 dev to-backend", a))
		again()
		asked(netip.AddrPortFrom(a, 30641))
		asked(netip.AddrPortFrom(outer, 80))
	}
	for _, a := range []netip.Addr{came, outer} {
		b.command(fmt.Sprintf("ip addr del %s/32 dev to-backend", a))
		again()
		asked(netip.AddrPortFrom(outer, 80))
	}
	asked(netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), 30641))
	if o.HistoryShows {
		return // its ports depend on history
	}
	if got, want := sortedLines(b.State()), b.anew(b.Snapshot); got != want {
		t.Errorf("the kernel held\n%s\na fresh sync gives\n%s", got, want)
	}
}

// earlyUDP: a client that has been sending from one socket since before there was
// anything to send to is answered at once when there is: a Service, its node port, its
// external address, its first endpoint.
func earlyUDP(t *testing.T, m modes.Mode, o Options) {
	b := NewRig(t, m, nil, synth.Spec{Services: 2, Endpoints: 1, Ports: 1, Seed: 1})
	svc := *b.Snapshot.Services[0]
	svc.Ports = slices.Clone(svc.Ports)
	i := slices.IndexFunc(svc.Ports, func(p modes.ServicePort) bool { return p.Protocol == modes.UDP })
	outer := netip.MustParseAddr("10.111.8.8")
	port := svc.Ports[i].Port
	plain := svc
	plain.Ports = slices.Clone(svc.Ports)
	empty := plain
	empty.Endpoints = nil
	svc.ExternalIPs, svc.Ports[i].NodePort = []netip.Addr{outer}, 30888
	b.Program(b.Snapshot.Without(0))
	vip := netip.AddrPortFrom(svc.ClusterIP, port)
	early := b.dialEarly(vip, netip.AddrPortFrom(outer, port), netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), 30888))
	early.unanswered()
	b.Program(b.Snapshot.With(&svc))
	early.answered("the Service", &svc)
	b.Program(b.Snapshot.With(&empty))
	first := b.dialEarly(vip)
	first.unanswered()
	b.Program(b.Snapshot.With(&plain))
	first.answered("the first endpoint", &svc)
	if why, differs := o.Differs[EarlyNodePort]; differs {
		t.Logf("DIFFERS: %s: %s", EarlyNodePort, why)
		return
	}
	only := b.dialEarly(netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), 30888))
	only.unanswered()
	b.Program(b.Snapshot.With(&svc))
	only.answered("the node port", &svc)
}

// early is a client's sockets, each connected to one destination.
type early struct {
	*Rig
	conns []net.Conn
}

func (b *Rig) dialEarly(to ...netip.AddrPort) early {
	b.t.Helper()
	e := early{Rig: b}
	for _, at := range to {
		err := b.Net.Client.Do(func() error {
			c, err := net.Dial("udp", at.String())
			if err == nil {
				e.conns = append(e.conns, c)
				b.t.Cleanup(func() { _ = c.Close() })
			}
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return e
}

// unanswered sends twice to every destination, and expects nothing.
func (e early) unanswered() {
	e.t.Helper()
	for _, c := range e.conns {
		for range 2 {
			_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = c.Write([]byte{'c'})
			if n, err := c.Read(make([]byte, 128)); err == nil && n > 1 {
				e.t.Errorf("%s answered too early", c.RemoteAddr())
			}
		}
	}
}

// answered sends once more.
func (e early) answered(what string, svc *modes.Service) {
	e.t.Helper()
	for _, c := range e.conns {
		from, err := askDatagram(c)
		if errors.Is(err, unix.ECONNREFUSED) {
			from, err = askDatagram(c) // the answer to a packet before
		}
		if err != nil || svc.Index(from) < 0 {
			e.t.Errorf("since there is %s, %s: answered by %s, %v", what, c.RemoteAddr(), from, err)
		}
	}
}
