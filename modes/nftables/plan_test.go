package nftables

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/knftables"

	"viplab/modes"
	"viplab/modes/modetest/golden"
	"viplab/modes/snapshot/synth"
)

var _ = golden.Flag()

// TestPlans holds what each layout puts into a node for the Services of each book of
// stories against what it did before: all kinds of Services, both families, SCTP.
func TestPlans(t *testing.T) {
	for i, o := range variants("") {
		var out strings.Builder
		for _, b := range books(t) {
			for _, f := range modes.Dual.Parts() {
				part := b.Snapshot.Of(f)
				if len(part.Services) == 0 {
					continue
				}
				fake := newFake(variants(f)[i])
				fake.run(t, fake.planner.Delta(part))
				fmt.Fprintf(&out, "## %s, %s\n%s", b.Name, f, fake.table.Dump())
			}
		}
		golden.Check(t, string(o.Layout)+"-"+o.Apply+".txt", out.String())
	}
}

// fake is a table in memory, which refuses what refers to nothing.
type fake struct {
	planner Planner
	sets    declared
	table   *knftables.Fake
}

func newFake(o Options) *fake {
	return &fake{planner: Planner{Options: o}, sets: declared{}, table: knftables.NewFake(family(o.Family), TableName)}
}

func (f *fake) run(t *testing.T, c *Change) {
	t.Helper()
	change, after := f.sets.transactions(c, f.planner.Family)
	for _, tx := range []*knftables.Transaction{change, after} {
		if err := f.table.Run(t.Context(), tx); err != nil {
			t.Fatalf("%v in\n%s", err, tx)
		}
	}
}

var sizeOf = regexp.MustCompile(` size \d+ ;`)

// lines is what the table holds, without what depends on history: the order, and the
// room that was left when the table was made.
func (f *fake) lines() string {
	lines := strings.Split(sizeOf.ReplaceAllString(f.table.Dump(), ""), "\n")
	slices.SortStableFunc(lines, func(a, b string) int {
		if strings.HasPrefix(a, "add rule") && strings.HasPrefix(b, "add rule") {
			return 0 // the order of rules matters
		}
		return strings.Compare(a, b)
	})
	return strings.Join(lines, "\n")
}

// TestChangesLeadToTheSame makes random changes of all kinds, and holds the table after
// them against one that never saw anything but the last Snapshot.
func TestChangesLeadToTheSame(t *testing.T) {
	for _, f := range modes.Dual.Parts() {
		for _, o := range variants(f) {
			rng := rand.New(rand.NewPCG(7, 7))
			s := modes.Snapshot{ClusterCIDR: netip.MustParsePrefix("10.128.0.0/9"), ClusterCIDR6: netip.MustParsePrefix("fd00:10:128::/64")}
			changed := newFake(o)
			for range 60 {
				s = randomly(rng, s, f)
				var err error
				if s, err = s.Normal(); err != nil {
					t.Fatal(err)
				}
				changed.run(t, changed.planner.Delta(s))
				if c := changed.planner.Delta(s); !c.Empty() {
					t.Fatalf("%s by %s: the same Snapshot again is %+v", o.Layout, o.Apply, c)
				}
				fresh := newFake(o)
				fresh.run(t, fresh.planner.Delta(s))
				if got, want := changed.lines(), fresh.lines(); got != want {
					t.Fatalf("%s by %s: after changes\n%s\na fresh plan is\n%s", o.Layout, o.Apply, got, want)
				}
			}
		}
	}
}

// randomly adds, takes away or alters some of a dozen Services.
func randomly(rng *rand.Rand, s modes.Snapshot, f modes.Family) modes.Snapshot {
	for range 1 + rng.IntN(3) {
		if len(s.Services) > 0 && rng.IntN(3) == 0 {
			s = s.Without(rng.IntN(len(s.Services)))
			continue
		}
		s = s.With(randomService(rng, rng.IntN(12), f))
	}
	switch rng.IntN(20) {
	case 0:
		s.ClusterCIDR, s.ClusterCIDR6 = netip.Prefix{}, netip.Prefix{}
	case 1:
		s.Node.MasqueradeAll = !s.Node.MasqueradeAll
	case 2:
		at := netip.MustParseAddr("192.0.2.1")
		if f == modes.IPv6 {
			at = netip.MustParseAddr("2001:db8::1")
		}
		s.Node.Addrs, s.Node.NodePortAddresses = []netip.Addr{at, at.Next()}, []netip.Prefix{modes.Host(at)}
	}
	return s
}

// randomService is a Service of that number, of any kind.
func randomService(rng *rand.Rand, i int, f modes.Family) *modes.Service {
	maybe := func() bool { return rng.IntN(3) == 0 }
	addr := func(net, host int) netip.Addr {
		if f == modes.IPv6 {
			return netip.MustParseAddr(fmt.Sprintf("fd00:10:%d::%x", net, host+1))
		}
		return netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", net, host+1))
	}
	svc := &modes.Service{Namespace: "x", Name: fmt.Sprintf("s%d", i), ClusterIP: addr(96, i/2)} // two share an address
	for j, p := range modes.Protocols()[:1+rng.IntN(3)] {
		port := modes.ServicePort{Name: string(p), Protocol: p, Port: uint16(80 + i), TargetPort: uint16(8080 + rng.IntN(2))}
		if maybe() {
			port.NodePort = uint16(30000 + 10*i + j)
		}
		svc.Ports = append(svc.Ports, port)
	}
	for j := range rng.IntN(4) {
		ep := modes.Endpoint{Addr: addr(128, 3*j+rng.IntN(3)), Local: maybe(), Condition: modes.Condition(rng.IntN(3)), ZoneHint: modes.Hint(rng.IntN(3))}
		if maybe() {
			ep.Port = uint16(9000 + rng.IntN(2))
		}
		svc.Endpoints = append(svc.Endpoints, ep)
	}
	if maybe() {
		svc.ExternalIPs = []netip.Addr{addr(111, rng.IntN(3))} // others may have it too
	}
	if maybe() {
		svc.LoadBalancerIPs = []netip.Addr{addr(112, i)}
		svc.SourceRanges = []netip.Prefix{modes.Host(addr(1, 1)), netip.PrefixFrom(addr(1, 1), 24), netip.PrefixFrom(addr(2, 1), 24)}[:rng.IntN(4)]
	}
	svc.ExternalLocal, svc.InternalLocal = maybe(), maybe()
	if maybe() {
		svc.Affinity = time.Duration(1+rng.IntN(3)) * time.Minute
	}
	return svc
}

// TestComplexity fixes how much a topology takes, so that whoever changes a plan sees
// what it costs: of N ports with E endpoints each, in a Table and in a Change that
// adds one Service.
func TestComplexity(t *testing.T) {
	var out strings.Builder
	fmt.Fprintf(&out, "%-22s %8s %9s   %7s %7s %5s %8s   %s\n", "layout", "services", "endpoints", "chains", "rules", "sets", "elements", "one more")
	for _, o := range variants(modes.IPv4) {
		for _, size := range [][2]int{{1, 1}, {1000, 2}, {5000, 10}, {20000, 2}} {
			spec := synth.Spec{Services: size[0], Endpoints: size[1], Ports: 1, Seed: 1}
			p := Planner{Options: o}
			snap := spec.Snapshot()
			table := p.Plan(snap)
			chains, rules, sets, elements := table.Count()
			more := p.Delta(snap.With(spec.Service(size[0] + 100)))
			fmt.Fprintf(&out, "%-22s %8d %9d   %7d %7d %5d %8d   %d rules, %d objects\n", string(o.Layout)+" by "+o.Apply,
				size[0], size[1], chains, rules, sets, elements, more.Rules(), more.Objects())
		}
	}
	golden.Check(t, "complexity.txt", out.String())
}

// TestFull: a map that is full is made anew, with more room.
func TestFull(t *testing.T) {
	spec := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}
	f := newFake(Options{Family: modes.IPv4})
	f.run(t, f.planner.Delta(spec.Snapshot()))
	spec.Services = leastSize - 100
	c := f.planner.Delta(spec.Snapshot())
	if f.run(t, c); c.Remove {
		t.Error("the table was made anew although there was room")
	}
	spec.Services = leastSize + 1
	c = f.planner.Delta(spec.Snapshot())
	if f.run(t, c); !c.Remove || f.table.Table.Maps[serviceCounts] == nil || *f.table.Table.Maps[serviceCounts].Size <= leastSize {
		t.Errorf("remove %t, size %v", c.Remove, f.table.Table.Maps[serviceCounts].Size)
	}
}

// TestDelta: what each kind of change writes.
func TestDelta(t *testing.T) {
	var out strings.Builder
	for _, o := range variants(modes.IPv4) {
		spec := synth.Spec{Services: 4, Endpoints: 2, Ports: 1, Seed: 1}
		f, snap := newFake(o), spec.Snapshot()
		f.run(t, f.planner.Delta(snap))
		for _, kind := range modes.ChangeKinds() {
			next, _, err := spec.Apply(snap, kind)
			if err != nil {
				t.Fatal(err)
			}
			change, after := f.sets.transactions(f.planner.Delta(next), o.Family)
			fmt.Fprintf(&out, "# %s by %s, %s\n%s%s", o.Layout, o.Apply, kind, change, after)
			snap = next
		}
	}
	golden.Check(t, "delta.txt", out.String())
}

func BenchmarkPlan20000(b *testing.B) {
	spec := synth.Spec{Services: 20000, Endpoints: 2, Ports: 1, Seed: 1}
	snap := spec.Snapshot()
	b.ReportAllocs()
	for b.Loop() {
		p := Planner{Options: Options{Family: modes.IPv4}}
		if t := p.Plan(snap); len(t.Elements) == 0 {
			b.Fatal("no elements")
		}
	}
}

func BenchmarkOneMoreOf20000(b *testing.B) {
	spec := synth.Spec{Services: 20000, Endpoints: 2, Ports: 1, Seed: 1}
	snap := spec.Snapshot()
	more := snap.With(spec.Service(30000))
	p := Planner{Options: Options{Family: modes.IPv4}}
	p.Plan(snap)
	b.ReportAllocs()
	for b.Loop() {
		p.Delta(more)
		p.Delta(snap)
	}
}
