package modetest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// alter changes what stories leave as it is: affinity of a Service that serves, an
// external address that two Services share, a VIP that goes from one to another.
func alter(t *testing.T, m modes.Mode) {
	spec := synth.Spec{Services: 3, Endpoints: 2, Ports: 2, Seed: 1}
	b := NewRig(t, m, nil, spec)
	b.Program(b.Snapshot)
	alter := func(i int, change func(*modes.Service)) *modes.Service {
		svc := *b.Snapshot.Services[i]
		svc.Ports = slices.Clone(svc.Ports)
		change(&svc)
		b.Program(b.Snapshot.With(&svc))
		return &svc
	}
	right := func(svc *modes.Service) {
		t.Helper()
		if err := b.RightEndpoint(b.Net.Client, b.Prober, modes.TCP, svc); err != nil {
			t.Error(err)
		}
	}
	right(alter(0, func(s *modes.Service) { s.Affinity = 10 * time.Second }))
	right(alter(0, func(s *modes.Service) { s.Affinity = 20 * time.Second }))
	right(alter(0, func(s *modes.Service) { s.Affinity = 0 }))
	outer := netip.MustParseAddr("10.111.9.9")
	ask := func(port uint16, svc *modes.Service) {
		t.Helper()
		from, err := b.Ask(b.Net.Client, b.Prober, modes.TCP, netip.AddrPortFrom(outer, port))
		if err != nil || svc.Index(from) < 0 {
			t.Errorf("port %d of %s was answered by %s, %v", port, outer, from, err)
		}
	}
	one := alter(1, func(s *modes.Service) { s.Ports, s.ExternalIPs = s.Ports[:1], []netip.Addr{outer} })
	two := alter(2, func(s *modes.Service) { s.Ports, s.ExternalIPs = s.Ports[1:2], []netip.Addr{outer} })
	ask(80, one)
	ask(81, two)
	alter(1, func(s *modes.Service) { s.ExternalIPs = nil })
	ask(81, two)
	// One Service goes and another comes in its place, in one sync.
	gone := b.Snapshot.Services[0]
	heir := *spec.Service(9)
	heir.ClusterIP = gone.ClusterIP
	b.Program(b.Snapshot.Without(0).With(&heir))
	right(&heir)
}

// staleUDP: a client that goes on sending from one socket is not sent to an endpoint
// that is gone, at once or after it was terminating.
func staleUDP(t *testing.T, m modes.Mode) {
	for _, terminating := range []bool{false, true} {
		t.Run(fmt.Sprintf("terminating %t", terminating), func(t *testing.T) { endpointsGo(t, m, terminating) })
	}
}

// endpointsGo takes the endpoint away that answers a client, until none is left.
func endpointsGo(t *testing.T, m modes.Mode, terminating bool) {
	b := NewRig(t, m, nil, synth.Spec{Services: 1, Endpoints: 3, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	svc := b.Snapshot.Services[0]
	err := b.Net.Client.Do(func() error {
		c, err := net.Dial("udp", trial.Front(svc).String())
		if err != nil {
			return err
		}
		defer c.Close()
		for range 3 {
			from, err := askDatagram(c)
			if err != nil {
				return err
			}
			if svc.Index(from) < 0 {
				return fmt.Errorf("%s answered, which is none of %v", from, svc.Endpoints)
			}
			if terminating {
				still := *svc
				still.Endpoints = slices.Clone(svc.Endpoints)
				still.Endpoints[svc.Index(from)].Condition = modes.Terminating
				b.Program(b.Snapshot.With(&still))
				// IPVS drops the first datagram after that: it has the real server no more.
				_, _ = askDatagram(c)
			}
			left := *svc
			left.Endpoints = slices.DeleteFunc(slices.Clone(svc.Endpoints), func(ep modes.Endpoint) bool { return ep.Addr == from })
			if len(left.Endpoints) == 0 {
				return nil
			}
			b.Program(b.Snapshot.With(&left))
			svc = &left
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func askDatagram(c net.Conn) (from netip.Addr, err error) {
	buf := make([]byte, 128)
	_ = c.SetDeadline(time.Now().Add(workload.Timeout))
	if _, err = c.Write([]byte{'c'}); err != nil {
		return from, err
	}
	n, err := c.Read(buf)
	if err != nil {
		return from, err
	}
	return netip.ParseAddr(strings.TrimSpace(string(buf[1:n])))
}

// affinityEnds: a client keeps its endpoint until it has been away for the
// timeout, and then chooses again.
func affinityEnds(t *testing.T, m modes.Mode, o Options) {
	b := NewRig(t, m, nil, synth.Spec{Services: 1, Endpoints: 6, Ports: 1, Seed: 1})
	svc := *b.Synth.Service(0)
	svc.Affinity = 2 * time.Second
	b.Program(modes.Snapshot{Services: []*modes.Service{&svc}, ClusterCIDR: synth.EndpointRange})
	away := max(3*time.Second, o.AffinityLingers)
	chosen := map[netip.Addr]bool{}
	// Six endpoints: eight times the same by chance is 1 in 280000.
	for range 8 {
		first, err := b.Ask(b.Net.Client, b.Prober, modes.TCP, trial.Front(&svc))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if next, err := b.Ask(b.Net.Client, b.Prober, modes.TCP, trial.Front(&svc)); err != nil || next != first {
				t.Fatalf("first %s, then %s, %v", first, next, err)
			}
		}
		if chosen[first] = true; len(chosen) > 1 {
			return
		}
		time.Sleep(away)
	}
	t.Errorf("eight times the same endpoint of six, with %s between: %v", away, chosen)
}
