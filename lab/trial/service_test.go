package trial

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/ipvs"
	"viplab/modes/synth"
	"viplab/workload"
)

// TestVariants: mode ipvs forwards rightly and follows changes however VIPs are
// bound, packets forwarded, and what to masquerade looked up.
func TestVariants(t *testing.T) {
	mode := ipvs.Mode()
	all := []modes.Args{{ipvs.ForwardParam: ipvs.DirectRouting, ipvs.BindParam: ipvs.BindRoute}, {ipvs.ForwardParam: ipvs.Tunnel, ipvs.BindParam: ipvs.BindRoute}}
	for _, p := range mode.Params {
		if p.Name != ipvs.SchedulerParam { // see TestSchedulers
			all = append(all, mode.Product(map[string][]string{p.Name: p.Values})...)
		}
	}
	for _, args := range all {
		t.Run(args.String(), func(t *testing.T) {
			spec := synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1, SamePort: mode.TraitsOf(args).DirectServerReturn}
			b := setUpSpec(t, Spec{Mode: mode.Name, Args: args, Synth: spec})
			before := b.state()
			b.sync(b.snap)
			if err := b.validate(true); err != nil {
				t.Fatal(err)
			}
			gone := b.snap.Services[4]
			b.sync(b.snap.Without(4))
			if err := b.unanswered(front(gone)); err != nil {
				t.Error(err)
			}
			if err := b.net.Node.Do(b.mode.Close); err != nil {
				t.Fatal(err)
			}
			if after := b.state(); after != before {
				t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestWeights: the weighted round robin of IPVS goes by weights, and a weight that
// changes is obeyed.
func TestWeights(t *testing.T) {
	b := setUpSpec(t, Spec{Mode: "ipvs", Args: modes.Args{ipvs.SchedulerParam: "wrr"}, Synth: synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1, Weights: []int{1, 3}}})
	b.sync(b.snap)
	shares := func(want ...float64) {
		t.Helper()
		got, err := b.choices(b.snap.Services[0], 40)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	shares(10, 30)
	svc := *b.snap.Services[0]
	svc.Endpoints = slices.Clone(svc.Endpoints)
	svc.Endpoints[0].Weight = 3
	b.sync(b.snap.With(&svc))
	shares(20, 20)
}

// TestAlter changes what stories leave as it is: affinity of a Service that serves, an
// external address that two Services share, a VIP that goes from one to another.
func TestAlter(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		spec := synth.Spec{Services: 3, Endpoints: 2, Ports: 2, Seed: 1}
		b := setUp(t, name, spec)
		b.sync(b.snap)
		alter := func(i int, change func(*modes.Service)) *modes.Service {
			svc := *b.snap.Services[i]
			svc.Ports = slices.Clone(svc.Ports)
			change(&svc)
			b.sync(b.snap.With(&svc))
			return &svc
		}
		right := func(svc *modes.Service) {
			t.Helper()
			if err := b.rightEndpoint(b.net.Client, b.prober, modes.TCP, svc); err != nil {
				t.Error(err)
			}
		}
		right(alter(0, func(s *modes.Service) { s.Affinity = 10 * time.Second }))
		right(alter(0, func(s *modes.Service) { s.Affinity = 20 * time.Second }))
		right(alter(0, func(s *modes.Service) { s.Affinity = 0 }))
		outer := netip.MustParseAddr("10.111.9.9")
		ask := func(port uint16, svc *modes.Service) {
			t.Helper()
			from, err := b.ask(b.net.Client, b.prober, modes.TCP, netip.AddrPortFrom(outer, port))
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
		gone := b.snap.Services[0]
		heir := *spec.Service(9)
		heir.ClusterIP = gone.ClusterIP
		b.sync(b.snap.Without(0).With(&heir))
		right(&heir)
	})
}

// TestStaleUDP: a client that goes on sending from one socket is not sent to an endpoint
// that is gone.
func TestStaleUDP(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		b := setUp(t, name, synth.Spec{Services: 1, Endpoints: 3, Ports: 1, Seed: 1})
		b.sync(b.snap)
		svc := b.snap.Services[0]
		err := b.net.Client.Do(func() error {
			c, err := net.Dial("udp", front(svc).String())
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
				left := *svc
				left.Endpoints = slices.DeleteFunc(slices.Clone(svc.Endpoints), func(ep modes.Endpoint) bool { return ep.Addr == from })
				if len(left.Endpoints) == 0 {
					return nil
				}
				b.sync(b.snap.With(&left))
				svc = &left
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
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

// TestFamilies: every mode serves IPv6, and both families at once.
func TestFamilies(t *testing.T) {
	for _, f := range modes.Families()[1:] {
		eachMode(t, catalog.All().Names(), func(t *testing.T, name string) {
			spec := synth.Spec{Services: 20, Endpoints: 3, Ports: 2, Seed: 7, Family: f}
			b := setUp(t, name, spec)
			before := b.state()
			b.sync(b.snap)
			if err := b.validate(true); err != nil {
				t.Fatal(err)
			}
			for _, kind := range modes.ChangeKinds() {
				next, svc, err := spec.Apply(b.snap, kind)
				if err != nil {
					t.Fatal(err)
				}
				b.sync(next)
				if name == "direct" {
					continue
				}
				if kind == modes.ServiceDelete {
					err = b.unanswered(front(svc))
				} else {
					err = b.rightEndpoint(b.net.Client, b.prober, modes.TCP, svc)
				}
				if err != nil {
					t.Errorf("after %s: %v", kind, err)
				}
			}
			if again := b.sync(b.snap); again.Rules+again.Objects+again.ToolCalls != 0 {
				t.Errorf("the same snapshot again cost %+v", again)
			}
			if err := b.net.Node.Do(b.mode.Close); err != nil {
				t.Fatal(err)
			}
			if after := b.state(); after != before {
				t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}
