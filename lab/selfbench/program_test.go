package selfbench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/ipvs"
	"viplab/modes/nftables"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

// size is the number of Services, of two endpoints each.
const size = 20000

func spec(b *testing.B) synth.Spec {
	if testing.Short() {
		b.Skip("takes minutes")
	}
	return synth.Spec{Services: size, Endpoints: 2, Ports: 1, Seed: 1}
}

// edit is what turns one Ruleset into another, as text.
func edit(b *testing.B, from, to rules.Ruleset) []byte {
	var buf bytes.Buffer
	if _, err := rules.Edit(bufio.NewWriter(&buf), from, to); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// restore is how mode iptables calls its tool.
func restore() []string {
	return []string{"iptables-legacy-restore", "-w", "5", "--noflush", "--counters"}
}

func newIptables() modes.Proxier { return iptables.New(nil, iptables.Restorer{}) }

// BenchmarkIptablesFullSync: a full sync against iptables-legacy-restore of the
// same text, out of a file or a pipe.
func BenchmarkIptablesFullSync(b *testing.B) {
	snap := spec(b).Snapshot()
	whole := iptables.Program(nil, snap).Rules
	do, undo := edit(b, rules.Ruleset{}, whole), edit(b, whole, rules.Ruleset{})
	beside := func(fed feed) func(b *testing.B) {
		return func(b *testing.B) {
			inNode(b, func() { compare(b, many, full(b, newIptables, snap), undone(b, fed, do, undo, restore()...)) })
		}
	}
	b.Run("file", beside(tool))
	b.Run("pipe", beside(piped))
}

// BenchmarkIptablesDelta: one Service added on top of N, against
// iptables-legacy-restore of the same changed lines on top of the same rules.
func BenchmarkIptablesDelta(b *testing.B) {
	s := spec(b)
	snap := s.Snapshot()
	next := snap.With(s.Service(s.Services))
	before, after := held(iptables.Program(nil, snap).Rules), held(iptables.Program(nil, next).Rules)
	do, undo := edit(b, before, after), edit(b, after, before)
	inNode(b, func() { compare(b, many, delta(b, newIptables(), snap, next), undone(b, tool, do, undo, restore()...)) })
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

// nftText is what nft has to be fed for one Snapshot after the other.
func nftText(b *testing.B, snaps ...modes.Snapshot) [][]byte {
	r := &recorder{}
	inNode(b, func() {
		p := nftables.New(nftables.Options{Apply: nftables.Tool, Runner: r})
		for _, s := range snaps {
			sync(b, p, s)
		}
	})
	if len(r.fed) != len(snaps) {
		b.Fatalf("nft was called %d times, want one for each of %d Snapshots", len(r.fed), len(snaps))
	}
	return r.fed
}

func newNftables() modes.Proxier { return nftables.New(nftables.Options{}) }

// BenchmarkNftablesFullSync: a full sync against nft -f of the same table as text.
func BenchmarkNftablesFullSync(b *testing.B) {
	need(b, newNftables())
	snap := spec(b).Snapshot()
	fed := nftText(b, snap)
	inNode(b, func() {
		compare(b, rounds, full(b, newNftables, snap), undone(b, tool, fed[0], []byte("flush ruleset"), "nft", "-f", "-"))
	})
}

// BenchmarkNftablesDelta: one Service more, against nft -f of the same elements. The layouts
// of netlink and of text differ, so each side has a table of its own.
func BenchmarkNftablesDelta(b *testing.B) {
	need(b, newNftables())
	s := spec(b)
	snap := s.Snapshot()
	next := snap.With(s.Service(size))
	fed := nftText(b, snap, next)
	ours := func() time.Duration {
		p := newNftables()
		defer shut(b, p)
		one := delta(b, p, snap, next)
		one()
		return one()
	}
	theirs := func() time.Duration {
		tool(b, fed[0], "nft", "-f", "-")
		return undone(b, tool, fed[1], []byte("flush ruleset"), "nft", "-f", "-")()
	}
	inNode(b, func() { compare(b, rounds, ours, theirs) })
}

// need skips where the kernel has not what a mode needs.
func need(b *testing.B, p modes.Proxier) {
	var err error
	inNode(b, func() { err = p.Probe(context.Background()) })
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

func newIPVS() modes.Proxier { return ipvs.New(ipvs.Options{}) }

// BenchmarkIPVSServers: virtual and real servers alone, against ipvsadm -R. Each in a fresh
// namespace: the kernel searches what was deleted in the last two minutes for every real server
// that is added.
func BenchmarkIPVSServers(b *testing.B) {
	need(b, newIPVS())
	snap := spec(b).Snapshot()
	input := lines(snap, "ipvsadm ", ipvs.AddServer, ipvs.AddReal)
	ours := func() time.Duration {
		start := time.Now()
		if err := writeServers(snap); err != nil {
			b.Error(err)
		}
		return time.Since(start)
	}
	compare(b, rounds, fresh(b, ours), fresh(b, func() time.Duration { return tool(b, input, "ipvsadm", "-R") }))
}

// writeServers writes virtual and real servers as the mode does.
func writeServers(snap modes.Snapshot) error {
	w, err := ipvs.NewWriter(ipvs.Options{})
	if err != nil {
		return err
	}
	defer w.Close()
	for o := range ipvs.Plan(modes.Diff(modes.Snapshot{}, snap)) {
		if o.Kind == ipvs.AddServer || o.Kind == ipvs.AddReal {
			if err := w.Do(o); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// BenchmarkIPVSFullSync: a full sync, routes and sets included, against
// ipvsadm -R, ipset restore and ip -batch.
func BenchmarkIPVSFullSync(b *testing.B) {
	need(b, newIPVS())
	snap := spec(b).Snapshot()
	servers := lines(snap, "ipvsadm ", ipvs.AddServer, ipvs.AddReal)
	entries := lines(snap, "ipset ", ipvs.AddEntry)
	routes := lines(snap, "ip ", ipvs.AddAddress)
	theirs := func() time.Duration {
		start := time.Now()
		prepare(b, snap)
		return time.Since(start) + tool(b, servers, "ipvsadm", "-R") +
			tool(b, entries, "ipset", "restore") + tool(b, routes, "ip", "-batch", "-")
	}
	compare(b, rounds, fresh(b, full(b, newIPVS, snap)), fresh(b, theirs))
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
	need(b, newIPVS())
	snap := spec(b).Snapshot()
	entries := strings.Split(strings.TrimSpace(string(lines(snap, "ipset ", ipvs.AddEntry))), "\n")
	const sample = 200
	theirs := func() time.Duration {
		prepare(b, snap)
		start := time.Now()
		for _, e := range entries[:sample] {
			if out, err := exec.Command("ipset", strings.Fields(e)...).CombinedOutput(); err != nil {
				b.Errorf("ipset %s: %v %s", e, err, out)
				break
			}
		}
		return time.Since(start) * time.Duration(len(entries)) / sample
	}
	compare(b, rounds, fresh(b, full(b, newIPVS, snap)), fresh(b, theirs))
}

// BenchmarkIPVSDelta: adding one Service on top of N, by routes and by addresses; by routes it must
// not grow with N.
func BenchmarkIPVSDelta(b *testing.B) {
	need(b, newIPVS())
	for i := range 8 {
		n, bind := []int{100, 1000, 5000, 20000}[i%4], ipvs.Binds()[i/4]
		b.Run(fmt.Sprintf("bind=%s/services=%d", bind, n), func(b *testing.B) {
			s := synth.Spec{Services: n, Endpoints: 2, Ports: 1, Seed: 1}
			var took []float64
			inNode(b, func() {
				p, snap := ipvs.New(ipvs.Options{Bind: bind}), s.Snapshot()
				one := delta(b, p, snap, snap.With(s.Service(n+1)))
				for range 100 {
					took = append(took, one().Seconds())
				}
			})
			report(b, took)
		})
	}
}
