package modes_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, addr(s))
	}
	return out
}
func ranges(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

var web = modes.ServicePort{Name: "p", Protocol: modes.TCP, Port: 80, TargetPort: 8080}

// service makes a Service and changes it.
func service(name, ip string, change func(*modes.Service)) *modes.Service {
	svc := &modes.Service{Namespace: "x", Name: name, ClusterIP: addr(ip), Ports: []modes.ServicePort{web},
		Endpoints: []modes.Endpoint{{Addr: addr("10.128.0.1")}, {Addr: addr("10.128.0.2")}}}
	if change != nil {
		change(svc)
	}
	return svc
}

// TestRefused: what cannot be served is refused at the door, in one sentence that names
// the Service and the value.
func TestRefused(t *testing.T) {
	one := func(change func(*modes.Service)) []*modes.Service {
		return []*modes.Service{service("a", "10.96.0.1", change)}
	}
	two := func(a, b func(*modes.Service)) []*modes.Service {
		return []*modes.Service{service("a", "10.96.0.1", a), service("b", "10.96.0.2", b)}
	}
	nodePort := func(n uint16) func(*modes.Service) {
		return func(s *modes.Service) { s.Ports = []modes.ServicePort{web}; s.Ports[0].NodePort = n }
	}
	health := func(n uint16) func(*modes.Service) { return func(s *modes.Service) { s.HealthPort = n } }
	port := func(p modes.ServicePort) func(*modes.Service) {
		return func(s *modes.Service) { s.Ports = []modes.ServicePort{p} }
	}
	endpoint := func(ep modes.Endpoint) func(*modes.Service) {
		return func(s *modes.Service) { s.Endpoints = []modes.Endpoint{ep} }
	}
	six := service("a", "fd00::1", func(s *modes.Service) { s.Endpoints = nil; s.HealthPort = 30000 })
	node := modes.NodeConfig{Addrs: addrs("10.64.0.1", "fd00:64::1"), NodePorts: modes.PortRange{First: 8000, Last: 31000}}
	for want, services := range map[string][]*modes.Service{
		"services are not sorted":                                               {service("b", "10.96.0.1", nil), service("a", "10.96.0.2", nil)},
		"service x/a occurs twice":                                              {service("a", "10.96.0.1", nil), service("a", "10.96.0.2", nil)},
		"services x/a and x/b both claim 10.96.0.1:80/tcp":                      two(nil, func(s *modes.Service) { s.ClusterIP = addr("10.96.0.1") }),
		"services x/a and x/b both claim 10.96.0.2:80/tcp":                      two(func(s *modes.Service) { s.ExternalIPs = addrs("10.96.0.2") }, nil),
		"services x/a and x/b both claim 0.0.0.0:30000/tcp":                     two(nodePort(30000), nodePort(30000)),
		"service x/a: node port 30000 is its health check port too":             one(func(s *modes.Service) { nodePort(30000)(s); s.HealthPort = 30000 }),
		"service x/b: health check port 30000 is a node port of service x/a":    two(nodePort(30000), health(30000)),
		"service x/b: node port 30000 is the health check port of service x/a":  two(health(30000), nodePort(30000)),
		"services x/a and x/b both claim the health check port 30001":           two(health(30001), health(30001)),
		"service x/b: node port 30000 is the health check port of service x/a ": {six, service("b", "10.96.0.2", nodePort(30000))},
		"service x/a port \"p\": node port must be 8000-31000, got 31001":       one(nodePort(31001)),
		"service x/a: health check port must be of the node ports 8000-31000":   one(health(7999)),
		"service x/a: ::1 is a loopback address":                                one(func(s *modes.Service) { s.ClusterIP = addr("::1") }),
		"service x/a: 0.0.0.0 is no address of one host":                        one(func(s *modes.Service) { s.ExternalIPs = addrs("0.0.0.0") }),
		"\"::ffff:10.0.0.1\" is no plain IPv4":                                  one(func(s *modes.Service) { s.ClusterIP = addr("::ffff:10.0.0.1") }),
		"families cannot be mixed in one service, but it has 10.96.0.1 and fd":  one(endpoint(modes.Endpoint{Addr: addr("fd00::9")})),
		"10.96.0.1 and fd00::":                                                  one(func(s *modes.Service) { s.SourceRanges = ranges("fd00::/64") }),
		"endpoint 127.0.0.1 is a loopback address":                              one(endpoint(modes.Endpoint{Addr: addr("127.0.0.1")})),
		"endpoint 10.64.0.1 is an address of the node":                          one(endpoint(modes.Endpoint{Addr: addr("10.64.0.1")})),
		"icmp 1 to 1 is no usable port":                                         one(port(modes.ServicePort{Protocol: "icmp", Port: 1, TargetPort: 1})),
		"neither the service nor its endpoint 10.128.0.1 gives a target port":   one(port(modes.ServicePort{Protocol: modes.UDP, Port: 1})),
		"serves port \"q\" only, which the service does not have":               one(endpoint(modes.Endpoint{Addr: addr("10.128.0.1"), Only: "q"})),
		"two ports have the name \"p\"": one(func(s *modes.Service) {
			s.Ports = []modes.ServicePort{web, {Name: "p", Protocol: modes.UDP, Port: 5, TargetPort: 5}}
		}),
		"service x/a claims 10.96.0.1:80/tcp twice": one(func(s *modes.Service) {
			s.Ports = []modes.ServicePort{web, {Name: "q", Protocol: modes.TCP, Port: 80, TargetPort: 5}}
		}),
		"affinity must be 0 to 24h0m0s": one(func(s *modes.Service) { s.Affinity = 25 * time.Hour }),
		"a name has at most 63 letters": one(func(s *modes.Service) { s.Name = "a\"b" }),
		"port \"x y\": a name has at most": one(func(s *modes.Service) {
			s.Ports = []modes.ServicePort{{Name: "x y", Protocol: modes.TCP, Port: 1, TargetPort: 1}}
		}),
	} {
		_, err := modes.Snapshot{Services: services, Node: node}.Normal()
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	for want, s := range map[string]modes.Snapshot{
		"families cannot be mixed":                    {ClusterCIDR: netip.MustParsePrefix("fd00::/64")},
		"node: \"127.0.0.1\" is no plain":             {Node: modes.NodeConfig{Addrs: addrs("127.0.0.1")}},
		"node: 5-4 is no range of node ports":         {Node: modes.NodeConfig{NodePorts: modes.PortRange{First: 5, Last: 4}}},
		"node: node port addresses: \"invalid Prefix": {Node: modes.NodeConfig{NodePortAddresses: []netip.Prefix{{}}}},
	} {
		if _, err := s.Normal(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestNormal: what means the same comes out in one form, and what is in it already is the
// same pointer.
func TestNormal(t *testing.T) {
	ep := func(s string, change ...func(*modes.Endpoint)) modes.Endpoint {
		out := modes.Endpoint{Addr: addr(s)}
		for _, c := range change {
			c(&out)
		}
		return out
	}
	at := func(port uint16, only string) func(*modes.Endpoint) {
		return func(e *modes.Endpoint) { e.Port, e.Only = port, only }
	}
	going := func(e *modes.Endpoint) { e.Condition = modes.Terminating }
	unready := func(e *modes.Endpoint) { e.Condition = modes.Unready }
	more := modes.ServicePort{Name: "q", Protocol: modes.TCP, Port: 81, TargetPort: 8081}
	for name, c := range map[string]struct{ from, to func(*modes.Service) }{
		"an endpoint twice counts once": {
			func(s *modes.Service) {
				s.Endpoints = []modes.Endpoint{ep("10.0.0.1"), ep("10.0.0.2"), ep("10.0.0.1", at(8080, ""))}
			},
			func(s *modes.Service) { s.Endpoints = []modes.Endpoint{ep("10.0.0.1"), ep("10.0.0.2")} }},
		"of two conditions the better one holds": {
			func(s *modes.Service) { s.Endpoints = []modes.Endpoint{ep("10.0.0.1", going), ep("10.0.0.1")} },
			func(s *modes.Service) { s.Endpoints = []modes.Endpoint{ep("10.0.0.1")} }},
		"two ports of one address are two endpoints": {
			func(s *modes.Service) { s.Endpoints = []modes.Endpoint{ep("10.0.0.1"), ep("10.0.0.1", at(8081, ""))} }, nil},
		"one for all ports and one for a port overlap": {
			func(s *modes.Service) {
				s.Ports = []modes.ServicePort{web, more}
				s.Endpoints = []modes.Endpoint{ep("10.0.0.1"), ep("10.0.0.1", at(8080, "p")), ep("10.0.0.1", at(9090, "q"))}
			},
			func(s *modes.Service) {
				s.Ports = []modes.ServicePort{web, more}
				s.Endpoints = []modes.Endpoint{ep("10.0.0.1", at(8080, "p")), ep("10.0.0.1", at(8081, "q")), ep("10.0.0.1", at(9090, "q"))}
			}},
		"unready ones that are published are ready": {
			func(s *modes.Service) {
				s.PublishUnready = true
				s.Endpoints = []modes.Endpoint{ep("10.0.0.1", unready)}
			},
			func(s *modes.Service) { s.PublishUnready = true; s.Endpoints = []modes.Endpoint{ep("10.0.0.1")} }},
		"everybody is no restriction": {
			func(s *modes.Service) { s.SourceRanges = ranges("192.0.2.0/24", "0.0.0.0/0") },
			func(s *modes.Service) { s.SourceRanges = nil }},
		"ranges have no host bits and are listed once": {
			func(s *modes.Service) { s.SourceRanges = ranges("192.0.2.9/24", "192.0.2.0/24") },
			func(s *modes.Service) { s.SourceRanges = ranges("192.0.2.0/24") }},
		"an address that is external is no balancer's": {
			func(s *modes.Service) {
				s.ExternalIPs, s.LoadBalancerIPs = addrs("10.1.0.1", "10.1.0.1"), addrs("10.1.0.2", "10.1.0.1")
			},
			func(s *modes.Service) { s.ExternalIPs, s.LoadBalancerIPs = addrs("10.1.0.1"), addrs("10.1.0.2") }},
		"the cluster IP is no external address": {
			func(s *modes.Service) { s.ExternalIPs = addrs("10.96.0.1") }, func(s *modes.Service) { s.ExternalIPs = []netip.Addr{} }},
		"any node port goes": {func(s *modes.Service) { s.Ports = []modes.ServicePort{web}; s.Ports[0].NodePort = 443 }, nil},
	} {
		svc := service("a", "10.96.0.1", c.from)
		got, err := modes.Snapshot{Services: []*modes.Service{svc}}.Normal()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out := got.Services[0]
		if c.to == nil {
			if out != svc {
				t.Errorf("%s: it was changed to %+v", name, *out)
			}
			continue
		}
		want := service("a", "10.96.0.1", c.to)
		if out == svc || !slices.Equal(out.Endpoints, want.Endpoints) || !slices.Equal(out.SourceRanges, want.SourceRanges) ||
			!slices.Equal(out.ExternalIPs, want.ExternalIPs) || !slices.Equal(out.LoadBalancerIPs, want.LoadBalancerIPs) {
			t.Errorf("%s: got %+v, want %+v", name, *out, *want)
		}
		again, err := got.Normal()
		if err != nil || again.Services[0] != out {
			t.Errorf("%s: the normal form is not in normal form, %v", name, err)
		}
	}
	// Ports of the other family, and of both of a dual-stack Service, do not clash.
	pair := []*modes.Service{service("a", "10.96.0.1", func(s *modes.Service) { s.HealthPort = 30000 }),
		service("a", "fd00::1", func(s *modes.Service) { s.HealthPort, s.Endpoints = 30000, nil })}
	if _, err := (modes.Snapshot{Services: pair}).Normal(); err != nil {
		t.Error(err)
	}
}

// TestNormalKeeps: a Snapshot in normal form stays what it is, and the one given is never
// changed.
func TestNormalKeeps(t *testing.T) {
	snap := synth.Spec{Services: 100, Endpoints: 3, Ports: 2, Seed: 1, Family: modes.Dual}.Snapshot()
	got, err := snap.Normal()
	if err != nil || len(modes.Diff(snap, got)) != 0 {
		t.Fatalf("%d services were changed, %v", len(modes.Diff(snap, got)), err)
	}
	svc := *snap.Services[7]
	svc.Endpoints = append(slices.Clone(svc.Endpoints), svc.Endpoints[0])
	odd := snap.With(&svc)
	got, err = odd.Normal()
	if err != nil || len(modes.Diff(odd, got)) != 1 || odd.Services[7] != &svc || len(svc.Endpoints) != 4 {
		t.Errorf("%d services were changed, want 1, and the snapshot itself left alone; %v", len(modes.Diff(odd, got)), err)
	}
}

// TestReach holds the choice of endpoints against kube-proxy's rules.
func TestReach(t *testing.T) {
	g, u := modes.Terminating, modes.Unready
	type ep struct {
		local      bool
		c          modes.Condition
		node, zone modes.Hint
	}
	away, here := modes.Elsewhere, modes.Here
	for name, c := range map[string]struct {
		eps            []ep
		policy         func(*modes.Service)
		cluster, local []int
		any            bool
	}{
		"all ready ones":                          {[]ep{{}, {c: u}, {c: g}, {}}, nil, []int{0, 3}, nil, true},
		"terminating ones where none is ready":    {[]ep{{c: u}, {c: g}, {c: g}}, nil, []int{1, 2}, nil, true},
		"none":                                    {[]ep{{c: u}, {c: u}}, nil, nil, nil, false},
		"Local falls back by itself":              {[]ep{{local: true, c: g}, {}}, local, []int{1}, []int{0}, true},
		"Local prefers ready ones":                {[]ep{{local: true, c: g}, {local: true}, {}}, local, []int{1, 2}, []int{1}, true},
		"Local without one here":                  {[]ep{{}, {local: true, c: u}}, local, []int{0}, nil, true},
		"internal Local alone":                    {[]ep{{}, {local: true}}, func(s *modes.Service) { s.InternalLocal = true }, nil, []int{1}, true},
		"the zone's":                              {[]ep{{zone: here}, {zone: away}, {zone: here}}, nil, []int{0, 2}, nil, true},
		"all, where one has no hint":              {[]ep{{zone: here}, {zone: away}, {}}, nil, []int{0, 1, 2}, nil, true},
		"all, where no hint names the zone":       {[]ep{{zone: away}, {zone: away}}, nil, []int{0, 1}, nil, true},
		"hints of unready ones do not count":      {[]ep{{zone: here}, {zone: away}, {c: u}}, nil, []int{0}, nil, true},
		"the node's before the zone's":            {[]ep{{node: here, zone: away}, {node: away, zone: here}}, nil, []int{0}, nil, true},
		"the zone's where no node hint is ours":   {[]ep{{node: away, zone: away}, {node: away, zone: here}}, nil, []int{1}, nil, true},
		"policy Local does not go by hints":       {[]ep{{local: true, zone: away}, {zone: here}}, local, []int{1}, []int{0}, true},
		"hints do not matter to terminating ones": {[]ep{{c: g, zone: here}, {c: g, zone: away}}, nil, []int{0, 1}, nil, true},
		"terminating ones elsewhere count for nothing beside a ready one": {[]ep{{c: g}, {}}, local, []int{1}, nil, true},
	} {
		svc := service("a", "10.96.0.1", c.policy)
		svc.Endpoints = nil
		for i, e := range c.eps {
			svc.Endpoints = append(svc.Endpoints, modes.Endpoint{Addr: netip.AddrFrom4([4]byte{10, 128, 0, byte(i)}),
				Local: e.local, Condition: e.c, NodeHint: e.node, ZoneHint: e.zone})
		}
		var got [3][]int
		reach := svc.Reach(svc.Ports[0])
		for i, list := range [][]modes.Endpoint{reach.Cluster, reach.Local, reach.All} {
			for _, e := range list {
				got[i] = append(got[i], int(e.Addr.As4()[3]))
			}
		}
		all := slices.Concat(c.cluster, c.local)
		slices.Sort(all)
		if all = slices.Compact(all); !slices.Equal(got[0], c.cluster) || !slices.Equal(got[1], c.local) || !slices.Equal(got[2], all) || reach.Any != c.any {
			t.Errorf("%s: got %v and any %t, want %v %v %v and %t", name, got, reach.Any, c.cluster, c.local, all, c.any)
		}
	}
}

func local(s *modes.Service) { s.ExternalLocal, s.ExternalIPs = true, addrs("10.111.0.1") }

// BenchmarkNormal is the door for 50000 Services.
func BenchmarkNormal(b *testing.B) {
	snap := synth.Spec{Services: 50000, Endpoints: 4, Ports: 1, Seed: 1}.Snapshot()
	for b.Loop() {
		if _, err := snap.Normal(); err != nil {
			b.Fatal(err)
		}
	}
}
