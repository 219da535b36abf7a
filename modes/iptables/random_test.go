package iptables_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/iptablestree"
	"viplab/modes/packet/rules"
	"viplab/modes/packet/rules/fake"
)

// world makes random Snapshots out of small pools, so that things meet.
type world struct {
	*rand.Rand
	family modes.Family
}

// one tells with a chance of 1 in n.
func (w world) one(n int) bool { return w.IntN(n) == 0 }

func (w world) addr(base string, n int) netip.Addr {
	if w.family == modes.IPv6 {
		return netip.MustParseAddr(fmt.Sprintf("fd00:%s::%x", strings.ReplaceAll(base, ".", ":"), 1+w.IntN(n)))
	}
	return netip.MustParseAddr(fmt.Sprintf("10.%s.%d", base, 1+w.IntN(n)))
}

func (w world) prefix() netip.Prefix {
	p, _ := w.addr("64.0", 2).Prefix(w.addr("64.0", 2).BitLen() - 8*w.IntN(3))
	return p
}

// service makes the i-th Service, whose addresses are no other's.
func (w world) service(i int) *modes.Service {
	block := fmt.Sprintf("%d.%d", 100+i/200, 1+i%200)
	svc := &modes.Service{Namespace: "x", Name: fmt.Sprintf("s%03d", i), ClusterIP: w.addr(block, 1)}
	for p := range 1 + w.IntN(2) {
		port := modes.ServicePort{Name: fmt.Sprintf("p%d", p), Protocol: modes.Protocols()[w.IntN(3)], Port: uint16(80 + p), TargetPort: 8080}
		if w.one(3) {
			port.NodePort = uint16(30000 + 2*i + p)
		}
		svc.Ports = append(svc.Ports, port)
	}
	for range w.IntN(4) {
		ep := modes.Endpoint{Addr: w.addr("128.0", 20), Local: w.one(3), Condition: modes.Condition(w.IntN(4) % 3)}
		if w.one(4) {
			ep.Port = uint16(8080 + w.IntN(3))
		}
		if w.one(6) {
			ep.Only = "p0"
		}
		ep.ZoneHint, ep.NodeHint = modes.Hint(w.IntN(6)%3), modes.Hint(w.IntN(9)%3)
		svc.Endpoints = append(svc.Endpoints, ep)
	}
	if w.one(3) {
		svc.ExternalIPs = []netip.Addr{w.addr("111."+fmt.Sprint(i%250), 2)}
	}
	if w.one(3) {
		svc.LoadBalancerIPs = []netip.Addr{w.addr("112."+fmt.Sprint(i%250), 2)}
	}
	for range w.IntN(3) {
		svc.SourceRanges = append(svc.SourceRanges, w.prefix())
	}
	svc.ExternalLocal, svc.InternalLocal = w.one(3), w.one(4)
	if w.one(5) {
		svc.HealthPort = uint16(31000 + i)
	}
	if w.one(5) {
		svc.Affinity = time.Duration(1+w.IntN(3)) * time.Minute
	}
	return svc
}

// change makes one to three changes, each of a Service or of what all depend on.
func (w world) change(s modes.Snapshot) modes.Snapshot {
	for range 1 + w.IntN(3) {
		switch kind := w.IntN(10); {
		case kind < 4:
			s = s.With(w.service(w.IntN(40)))
		case kind < 6 && len(s.Services) > 0:
			s = s.Without(w.IntN(len(s.Services)))
		case kind == 6:
			into := &s.ClusterCIDR
			if w.family == modes.IPv6 {
				into = &s.ClusterCIDR6
			}
			*into = netip.Prefix{}
			if !w.one(3) {
				*into, _ = w.addr("128.0", 1).Prefix(8 + w.IntN(3))
			}
		case kind == 7:
			s.Node.Addrs = nil
			for range 1 + w.IntN(3) {
				if a := w.addr("64.0", 4); !slices.Contains(s.Node.Addrs, a) {
					s.Node.Addrs = append(slices.Clone(s.Node.Addrs), a)
				}
			}
		case kind == 8:
			s.Node.MasqueradeAll, s.Node.NoLocalhostNodePorts = w.one(2), w.one(2)
		default:
			s.Node.NodePortAddresses = nil
			for range w.IntN(3) {
				s.Node.NodePortAddresses = append(s.Node.NodePortAddresses, w.prefix())
			}
			if w.one(3) {
				s.Node.NodePortAddresses = append(s.Node.NodePortAddresses, netip.MustParsePrefix("127.0.0.0/8"))
			}
		}
	}
	return s
}

// TestDeltaEndsWhereSyncEnds: hundreds of random changes of Services, cluster range, node
// addresses and settings, one after another; after each the tables hold what a Planner
// that starts anew would write.
func TestDeltaEndsWhereSyncEnds(t *testing.T) {
	for name, dispatch := range map[string]iptables.Dispatch{"linear": nil, "tree": iptablestree.Dispatch(2)} {
		for _, f := range []modes.Family{modes.IPv4, modes.IPv6} {
			t.Run(name+" "+string(f), func(t *testing.T) {
				w := world{rand.New(rand.NewPCG(1, 2)), f}
				p := iptables.Planner{Dispatch: dispatch, Family: f}
				part, whole := fake.Tables{}, fake.Tables{}
				var snap modes.Snapshot
				now := p.Plan(snap)
				load(t, part, rules.Edit, rules.Ruleset{}, now)
				load(t, whole, rules.Edit, rules.Ruleset{}, now)
				for step := range 400 {
					next, err := w.change(snap).Normal()
					if err != nil {
						t.Fatalf("step %d: %v", step, err)
					}
					snap = next
					mine := snap.Of(f)
					old, edited, all := p.Delta(now, mine)
					load(t, part, rules.Edit, old, edited)
					load(t, whole, mend(whole), now, all)
					fresh := fake.Tables{}
					anew := iptables.Planner{Dispatch: dispatch, Family: f}
					load(t, fresh, rules.Edit, rules.Ruleset{}, anew.Plan(mine))
					for kind, got := range map[string]fake.Tables{"edited": part, "mended": whole} {
						if got, want := got.Dump(), fresh.Dump(); got != want {
							t.Fatalf("step %d, %s: %s", step, kind, firstDifference(got, want))
						}
					}
					now = all
				}
				if len(snap.Services) < 5 {
					t.Errorf("only %d services at the end", len(snap.Services))
				}
			})
		}
	}
}

// load writes the way from one Ruleset to another and loads it.
func load(t *testing.T, into fake.Tables, write func(*bufio.Writer, rules.Ruleset, rules.Ruleset) (int, error), from, to rules.Ruleset) {
	t.Helper()
	var b strings.Builder
	if _, err := write(bufio.NewWriter(&b), from, to); err != nil {
		t.Fatal(err)
	}
	if err := into.Load(b.String()); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
}

// mend writes a Ruleset over whatever the tables hold.
func mend(have fake.Tables) func(*bufio.Writer, rules.Ruleset, rules.Ruleset) (int, error) {
	return func(w *bufio.Writer, _, to rules.Ruleset) (int, error) {
		found := map[string]rules.Found{}
		for table := range have {
			found[table] = rules.Find([]byte(have.Save(table)))
		}
		return rules.Mend(w, found, to)
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}
