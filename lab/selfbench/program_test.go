package selfbench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/perf/benchmath"

	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/ipvs"
	"viplab/modes/nftables"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// rounds is how often both sides run, in turn: six are the least for a 95 %
// interval of the median.
const rounds = 6

// size is the number of Services, of two endpoints each.
const size = 20000

func spec() synth.Spec { return synth.Spec{Services: size, Endpoints: 2, Ports: 1, Seed: 1} }

// side is one of two ways to do the same, timed in a fresh topology.
type side func(b *testing.B, net *topo.Topology) time.Duration

// compare runs both sides in turn and reports the median of each and of the
// ratio ours/theirs, with its interval.
func compare(b *testing.B, ours, theirs side) {
	if testing.Short() {
		b.Skip("takes minutes")
	}
	var a, z, ratio []float64
	for range rounds {
		x, y := once(b, ours).Seconds(), once(b, theirs).Seconds()
		a, z, ratio = append(a, x), append(z, y), append(ratio, x/y)
	}
	r := median(ratio)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(a).Center, "ours-s")
	b.ReportMetric(median(z).Center, "theirs-s")
	b.ReportMetric(r.Center, "ratio")
	b.ReportMetric(r.Lo, "ratio-lo")
	b.ReportMetric(r.Hi, "ratio-hi")
}

func median(v []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(v), &benchmath.DefaultThresholds), 0.95)
}

func once(b *testing.B, s side) time.Duration {
	b.Helper()
	net, err := topo.Build(topo.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := net.Close(); err != nil {
			b.Error(err)
		}
		// The kernel frees what was in the namespaces in the background, on
		// the one CPU that the next measurement needs.
		time.Sleep(time.Second)
	}()
	var took time.Duration
	_ = net.Node.Do(func() error { took = s(b, net); return nil })
	return took
}

// full times a mode's full sync.
func full(mode func() modes.Proxier, snap modes.Snapshot) side {
	return func(b *testing.B, _ *topo.Topology) time.Duration {
		p := mode()
		start := time.Now()
		if _, err := p.Sync(context.Background(), snap); err != nil {
			b.Error(err)
		}
		return time.Since(start)
	}
}

// delta times a change that has come and gone once before: a proxier that runs for weeks has
// made changes already.
func delta(mode func() modes.Proxier, snap, next modes.Snapshot) side {
	return func(b *testing.B, _ *topo.Topology) time.Duration {
		p := mode()
		for _, s := range []modes.Snapshot{snap, next, snap} {
			if _, err := p.Sync(context.Background(), s); err != nil {
				b.Error(err)
			}
		}
		start := time.Now()
		if _, err := p.Sync(context.Background(), next); err != nil {
			b.Error(err)
		}
		return time.Since(start)
	}
}

// tool times a program fed a ready-made text from memory.
func tool(b *testing.B, input []byte, name string, args ...string) time.Duration {
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(input)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Errorf("%s: %v %.200s", name, err, out)
	}
	return time.Since(start)
}

func text(b *testing.B, rs rules.Ruleset) []byte {
	var buf bytes.Buffer
	if _, err := rules.Edit(bufio.NewWriter(&buf), rules.Ruleset{}, rs); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// BenchmarkIptablesFullSync: a full sync against iptables-legacy-restore of the
// same text.
func BenchmarkIptablesFullSync(b *testing.B) {
	snap := spec().Snapshot()
	planner := iptables.Planner{}
	input := text(b, planner.Plan(snap))
	compare(b, full(func() modes.Proxier { return iptables.New(nil, iptables.Restorer{}) }, snap),
		func(b *testing.B, _ *topo.Topology) time.Duration {
			return tool(b, input, "iptables-legacy-restore", "-w", "5", "--noflush", "--counters")
		})
}

// BenchmarkIptablesDelta: one Service added on top of N, against
// iptables-legacy-restore of the same changed lines on top of the same rules.
func BenchmarkIptablesDelta(b *testing.B) {
	s := spec()
	snap := s.Snapshot()
	next := snap.With(s.Service(s.Services))
	var lines bytes.Buffer
	before, after := iptables.Program(nil, snap).Rules, iptables.Program(nil, next).Rules
	if _, err := rules.Edit(bufio.NewWriter(&lines), held(before), held(after)); err != nil {
		b.Fatal(err)
	}
	input := text(b, before)
	compare(b, delta(func() modes.Proxier { return iptables.New(nil, iptables.Restorer{}) }, snap, next), func(b *testing.B, _ *topo.Topology) time.Duration {
		tool(b, input, "iptables-legacy-restore", "-w", "5", "--noflush", "--counters")
		return tool(b, lines.Bytes(), "iptables-legacy-restore", "-w", "5", "--noflush", "--counters")
	})
}

// held is a Ruleset with all its chains in memory, as an edit between two whole
// ones needs them.
func held(rs rules.Ruleset) rules.Ruleset {
	out := rs.Fixed()
	for i, t := range rs.Tables {
		chains := &out.Tables[i].Chains
		*chains = nil
		for c := range t.All() {
			*chains = append(*chains, c.Clone())
		}
	}
	return out
}

// recorder is a Runner that starts nothing and keeps what the tool would have been fed.
type recorder struct{ fed [][]byte }

func (r *recorder) Run(_ context.Context, in modes.Input, _ string, _ ...string) ([]byte, modes.Cost, error) {
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	if err := in(w); err != nil {
		return nil, modes.Cost{}, err
	}
	err := w.Flush()
	r.fed = append(r.fed, buf.Bytes())
	return nil, modes.Cost{}, err
}

// nftText is what nft has to be fed for a full sync, and then for one Service more.
func nftText(b *testing.B, snap, next modes.Snapshot) (full, delta []byte) {
	r := &recorder{}
	_ = once(b, func(b *testing.B, _ *topo.Topology) time.Duration {
		p := nftables.New(nftables.Options{Apply: nftables.Tool, Runner: r})
		for _, s := range []modes.Snapshot{snap, next} {
			if _, err := p.Sync(context.Background(), s); err != nil {
				b.Error(err)
			}
		}
		return 0
	})
	if len(r.fed) != 2 {
		b.Fatalf("nft was called %d times, want one for each Snapshot", len(r.fed))
	}
	return r.fed[0], r.fed[1]
}

// BenchmarkNftablesFullSync: a full sync against nft -f of the same table as text.
func BenchmarkNftablesFullSync(b *testing.B) {
	need(b, nftables.New(nftables.Options{}))
	s := spec()
	snap := s.Snapshot()
	input, _ := nftText(b, snap, snap.With(s.Service(size)))
	compare(b, full(func() modes.Proxier { return nftables.New(nftables.Options{}) }, snap),
		func(b *testing.B, _ *topo.Topology) time.Duration { return tool(b, input, "nft", "-f", "-") })
}

// BenchmarkNftablesDelta: one Service more, which has come and gone once before, against
// nft -f of the same elements on top of the same table.
func BenchmarkNftablesDelta(b *testing.B) {
	need(b, nftables.New(nftables.Options{}))
	s := spec()
	snap := s.Snapshot()
	next := snap.With(s.Service(size))
	input, lines := nftText(b, snap, next)
	compare(b, delta(func() modes.Proxier { return nftables.New(nftables.Options{}) }, snap, next),
		func(b *testing.B, _ *topo.Topology) time.Duration {
			tool(b, input, "nft", "-f", "-")
			return tool(b, lines, "nft", "-f", "-")
		})
}

// need skips where the kernel has not what a mode needs.
func need(b *testing.B, p modes.Proxier) {
	var err error
	_ = once(b, func(*testing.B, *topo.Topology) time.Duration {
		err = p.Probe(context.Background())
		return 0
	})
	if modes.IsMissing(err) {
		b.Skipf("SKIPPED: %v", err)
	} else if err != nil {
		b.Fatal(err)
	}
}

// lines makes the input of a tool out of the operations of one kind.
func lines(snap modes.Snapshot, prefix string, kinds ...ipvs.Kind) []byte {
	var buf bytes.Buffer
	for o := range ipvs.Plan(modes.Diff(modes.Snapshot{}, snap)) {
		if slices.Contains(kinds, o.Kind) {
			buf.WriteString(strings.TrimPrefix(o.String(), prefix) + "\n")
		}
	}
	return buf.Bytes()
}

// BenchmarkIPVSServers: virtual and real servers alone, against ipvsadm -R.
func BenchmarkIPVSServers(b *testing.B) {
	need(b, ipvs.New(ipvs.Options{}))
	snap := spec().Snapshot()
	input := lines(snap, "ipvsadm ", ipvs.AddServer, ipvs.AddReal)
	compare(b, func(b *testing.B, _ *topo.Topology) time.Duration {
		start := time.Now()
		w, err := ipvs.NewWriter(ipvs.Options{})
		if err != nil {
			b.Error(err)
			return 0
		}
		defer w.Close()
		for o := range ipvs.Plan(modes.Diff(modes.Snapshot{}, snap)) {
			if o.Kind == ipvs.AddServer || o.Kind == ipvs.AddReal {
				if err := w.Do(o); err != nil {
					b.Error(err)
				}
			}
		}
		if err := w.Flush(); err != nil {
			b.Error(err)
		}
		return time.Since(start)
	}, func(b *testing.B, _ *topo.Topology) time.Duration { return tool(b, input, "ipvsadm", "-R") })
}

// BenchmarkIPVSFullSync: a full sync, routes and sets included, against
// ipvsadm -R, ipset restore and ip -batch.
func BenchmarkIPVSFullSync(b *testing.B) {
	need(b, ipvs.New(ipvs.Options{}))
	snap := spec().Snapshot()
	servers := lines(snap, "ipvsadm ", ipvs.AddServer, ipvs.AddReal)
	entries := lines(snap, "ipset ", ipvs.AddEntry)
	routes := lines(snap, "ip ", ipvs.AddAddress)
	compare(b, full(func() modes.Proxier { return ipvs.New(ipvs.Options{}) }, snap),
		func(b *testing.B, _ *topo.Topology) time.Duration {
			start := time.Now()
			prepare(b, snap)
			tool(b, servers, "ipvsadm", "-R")
			tool(b, entries, "ipset", "restore")
			tool(b, routes, "ip", "-batch", "-")
			return time.Since(start)
		})
}

func prepare(b *testing.B, snap modes.Snapshot) {
	// Routes need a device that is up.
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: ipvs.Device, Flags: net.FlagUp}}); err != nil {
		b.Error(err)
	}
	if err := ipvs.CreateSets(ipvs.Options{}, snap); err != nil {
		b.Error(err)
	}
}

// BenchmarkIPVSOneProcessAnEntry: a full sync against what the real kube-proxy
// does, one ipset process for each entry. It is measured on 200 entries and
// extrapolated to all of them; virtual servers and routes come on top.
func BenchmarkIPVSOneProcessAnEntry(b *testing.B) {
	need(b, ipvs.New(ipvs.Options{}))
	snap := spec().Snapshot()
	entries := strings.Split(strings.TrimSpace(string(lines(snap, "ipset ", ipvs.AddEntry))), "\n")
	const sample = 200
	compare(b, full(func() modes.Proxier { return ipvs.New(ipvs.Options{}) }, snap),
		func(b *testing.B, _ *topo.Topology) time.Duration {
			prepare(b, snap)
			start := time.Now()
			for _, e := range entries[:sample] {
				if out, err := exec.Command("ipset", strings.Fields(e)...).CombinedOutput(); err != nil {
					b.Errorf("ipset %s: %v %s", e, err, out)
					break
				}
			}
			return time.Since(start) * time.Duration(len(entries)) / sample
		})
}

// BenchmarkIPVSDelta: adding one Service on top of N, by routes and by addresses; by routes it must
// not grow with N.
func BenchmarkIPVSDelta(b *testing.B) {
	need(b, ipvs.New(ipvs.Options{}))
	for i := range 8 {
		n, bind := []int{100, 1000, 5000, 20000}[i%4], ipvs.Binds()[i/4]
		b.Run(fmt.Sprintf("bind=%s/services=%d", bind, n), func(b *testing.B) {
			s := synth.Spec{Services: n, Endpoints: 2, Ports: 1, Seed: 1}
			var took []float64
			_ = once(b, func(b *testing.B, _ *topo.Topology) time.Duration {
				p, snap := ipvs.New(ipvs.Options{Bind: bind}), s.Snapshot()
				if _, err := p.Sync(context.Background(), snap); err != nil {
					b.Error(err)
				}
				for i := range 200 {
					next := snap.With(s.Service(n + 1))
					if i%2 == 1 {
						next = snap
					}
					start := time.Now()
					if _, err := p.Sync(context.Background(), next); err != nil {
						b.Error(err)
					}
					if i%2 == 0 {
						took = append(took, time.Since(start).Seconds())
					}
				}
				return 0
			})
			m := median(took)
			b.ReportMetric(m.Center*1e6, "median-µs")
			b.ReportMetric(m.Lo*1e6, "lo-µs")
			b.ReportMetric(m.Hi*1e6, "hi-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}
