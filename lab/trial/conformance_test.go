package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
	"viplab/modes/ipvs"
	"viplab/modes/synth"
	"viplab/results"
	"viplab/workload"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// bench is one mode in a topology of its own.
type bench struct {
	*run
	t    *testing.T
	pods map[netip.Addr]*workload.Prober
}

// proxyCommand starts this test binary as the userspace proxy.
func proxyCommand(t *testing.T) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, testbed.RoleProxy}
}

// setUp starts a mode. A mode may be missing only where the kernel lacks what it
// needs, and never in the guest.
func setUp(t *testing.T, name string, spec synth.Spec) *bench {
	t.Helper()
	return setUpSpec(t, Spec{Mode: name, Synth: spec})
}

func setUpSpec(t *testing.T, spec Spec) *bench {
	t.Helper()
	name := spec.Mode
	spec.Testbed = inside.Testbed()
	r := &run{Spec: spec, out: NewEmitter(&bytes.Buffer{}), machine: modes.Machine{Family: spec.Synth.Family, ProxyCommand: proxyCommand(t)}}
	if err := r.find(catalog.All()); err != nil {
		t.Fatal(err)
	}
	r.rng = rand.New(rand.NewPCG(1, 2))
	r.snap = spec.Synth.Snapshot()
	err := r.setUp(t.Context())
	if modes.IsMissing(err) && inside.Testbed() != testbed.UMLName {
		r.tearDown()
		t.Skipf("SKIPPED: mode %s on testbed %s: %v", name, inside.Testbed(), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{run: r, t: t}
	t.Cleanup(func() {
		if err := r.tearDown(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) sync(s modes.Snapshot) modes.Cost {
	b.t.Helper()
	got, err := b.run.sync(context.Background(), s)
	if err != nil {
		b.t.Fatal(err)
	}
	b.snap = s
	return got.cost
}

func (b *bench) state() string {
	b.t.Helper()
	var out string
	err := b.net.Node.Do(func() error {
		for _, args := range [][]string{
			{"iptables-legacy-save", "-t", "nat"}, {"iptables-legacy-save", "-t", "filter"},
			{"ip6tables-legacy-save", "-t", "nat"}, {"ip6tables-legacy-save", "-t", "filter"}, {"ip", "-6", "route"},
			{"ip", "-o", "addr"}, {"ip", "route"}, {"ip", "rule"}, {"sysctl", "net.ipv4.ip_forward", "net.ipv4.ip_local_port_range", "net.ipv4.conf.all.route_localnet"},
		} {
			text, err := exec.Command(args[0], args[1:]...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%v: %w %s", args, err, text)
			}
			for line := range strings.Lines(string(text)) {
				// Counters, comments and the times of addresses change.
				if !strings.HasPrefix(line, "#") {
					line, _, _ = strings.Cut(line, " [")
					out += strings.TrimRight(line, "\n") + "\n"
				}
			}
		}
		if b.Mode != "ipvs" {
			return nil
		}
		sets, err := exec.Command("ipset", "list").CombinedOutput()
		if err != nil {
			return fmt.Errorf("ipset list: %w %s", err, sets)
		}
		servers, err := exec.Command("ipvsadm", "-Sn").CombinedOutput()
		out += string(sets) + string(servers)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func eachMode(t *testing.T, names []string, test func(*testing.T, string)) {
	for _, n := range names {
		t.Run(n, func(t *testing.T) { test(t, n) })
	}
}

func TestForwarding(t *testing.T) {
	for _, spec := range []synth.Spec{
		{Services: 1, Endpoints: 1, Ports: 1, Seed: 1},
		{Services: 50, Endpoints: 3, Ports: 2, Seed: 7},
	} {
		eachMode(t, catalog.All().Names(), func(t *testing.T, name string) {
			b := setUp(t, name, spec)
			b.sync(b.snap)
			if err := b.validate(true); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSecondSyncDoesNothing(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		b := setUp(t, name, synth.Spec{Services: 20, Endpoints: 2, Ports: 1, Seed: 1})
		first := b.sync(b.snap)
		if first.Rules+first.Objects == 0 {
			t.Fatal("the first sync wrote nothing")
		}
		before := b.state()
		again := b.sync(modes.Snapshot{Services: slices.Clone(b.snap.Services), ClusterCIDR: b.snap.ClusterCIDR})
		if again.Rules+again.Objects+again.ToolCalls+again.Bytes != 0 {
			t.Errorf("the second sync cost %+v", again)
		}
		if after := b.state(); after != before {
			t.Errorf("the second sync changed the kernel:\n%s\nto\n%s", before, after)
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		b := setUp(t, name, synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1})
		before := b.state()
		outer := *b.snap.Services[0]
		outer.Ports = slices.Clone(outer.Ports)
		outer.Ports[0].NodePort, outer.ExternalIPs = 30001, []netip.Addr{netip.MustParseAddr("10.111.0.1")}
		b.sync(b.snap.With(&outer))
		if b.state() == before {
			t.Fatal("sync changed nothing that this test could see")
		}
		pid := b.proxyPIDs()
		if err := b.net.Node.Do(b.mode.Close); err != nil {
			t.Fatal(err)
		}
		if after := b.state(); after != before {
			t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
		}
		for _, id := range pid {
			if _, err := workload.UsageOf(id); err == nil {
				t.Errorf("the proxy process %d is still there", id)
			}
		}
		if err := b.net.Node.Do(b.mode.Close); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// TestChanges makes random changes and proves that the kernel then holds what a
// mode that never saw anything but the last Snapshot would have put there.
func TestChanges(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		spec := synth.Spec{Services: 30, Endpoints: 2, Ports: 1, Seed: 3}
		b := setUp(t, name, spec)
		b.sync(b.snap)
		for i := range 12 {
			b.sync(randomChange(b.rng, spec, b.snap, i))
		}
		for _, svc := range b.snap.Services {
			if len(svc.Endpoints) == 0 {
				if err := b.unanswered(front(svc)); err != nil {
					t.Error(err)
				}
			} else if err := b.rightEndpoint(b.net.Client, b.prober, modes.TCP, svc); err != nil {
				t.Error(err)
			}
		}
		if name == "userspace" {
			return // its ports depend on history
		}
		fresh := setUp(t, name, spec)
		fresh.sync(b.snap)
		if got, want := sortedLines(b.state()), sortedLines(fresh.state()); got != want {
			t.Errorf("after changes the kernel holds\n%s\na fresh sync gives\n%s", got, want)
		}
	})
}

// TestRefresh: writing everything again changes nothing.
func TestRefresh(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		b := setUp(t, name, synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1})
		b.sync(b.snap)
		before := b.state()
		m, ok := b.mode.(modes.Refresher)
		if !ok {
			t.Fatal("the mode has no Refresh")
		}
		err := b.net.Node.Do(func() error {
			_, err := m.Refresh(t.Context())
			return err
		})
		if after := b.state(); err != nil || sortedLines(after) != sortedLines(before) {
			t.Errorf("%v; the kernel held\n%s\nand now\n%s", err, before, after)
		}
	})
}

// TestStrategies: however updates are written, the kernel holds the same.
func TestStrategies(t *testing.T) {
	eachMode(t, []string{"iptables", "iptables-tree"}, func(t *testing.T, name string) {
		spec := synth.Spec{Services: 4, Endpoints: 2, Ports: 1, Seed: 3}
		states := map[iptables.Strategy]string{}
		for _, strategy := range iptables.Strategies() {
			b := setUpSpec(t, Spec{Mode: name, Args: modes.Args{iptables.SyncParam: string(strategy)}, Synth: spec})
			b.sync(b.snap)
			rng := rand.New(rand.NewPCG(9, 9))
			for i := range 3 {
				b.sync(randomChange(rng, spec, b.snap, i))
			}
			states[strategy] = sortedLines(b.state())
		}
		for strategy, got := range states {
			if got != states[iptables.Partial] {
				t.Errorf("%s led to\n%s\npartial to\n%s", strategy, got, states[iptables.Partial])
			}
		}
	})
}

// TestLive runs the steady client beside full syncs.
func TestLive(t *testing.T) {
	b := setUp(t, "iptables", synth.Spec{Services: 20, Endpoints: 2, Ports: 1, Seed: 1})
	b.sync(b.snap)
	var out bytes.Buffer
	b.out, b.Plan = NewEmitter(&out), Plan{Live: 3 * time.Second}
	if err := b.live(t.Context()); err != nil {
		t.Fatal(err)
	}
	var answered float64
	refreshes := 0
	for line := range bytes.Lines(out.Bytes()) {
		var ev Event
		if err := json.Unmarshal(line, &ev); err != nil || ev.Record == nil {
			t.Fatal(err)
		}
		switch r := ev.Record; r.Metric {
		case results.TPS:
			for _, v := range r.Values {
				answered += v / 10
			}
		case results.RefreshSeconds:
			refreshes = len(r.Values)
		case results.LiveLost:
			if r.Values[0] != 0 {
				t.Errorf("%v requests were lost", r.Values[0])
			}
		}
	}
	// Those of the last moments may be answered after the last bin.
	if answered < 0.9*3*liveRate || refreshes == 0 {
		t.Errorf("%.0f requests answered of %d, %d full syncs", answered, 3*liveRate, refreshes)
	}
}

// TestChurn: changes that arrive at a rate are all programmed, and in the end the
// kernel holds what it held before.
func TestChurn(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		b := setUp(t, name, synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1})
		b.sync(b.snap)
		before := sortedLines(b.state())
		var out bytes.Buffer
		b.out, b.Plan = NewEmitter(&out), Plan{ChurnRate: 20, Churn: time.Second, MinSync: 200 * time.Millisecond}
		if err := b.churn(t.Context()); err != nil {
			t.Fatal(err)
		}
		var ev Event
		if err := json.Unmarshal(bytes.SplitN(out.Bytes(), []byte("\n"), 2)[0], &ev); err != nil || ev.Record == nil || len(ev.Record.Values) != 20 {
			t.Errorf("%v: %s", err, out.String())
		}
		if after := sortedLines(b.state()); name != "userspace" && after != before {
			t.Errorf("the kernel held\n%s\nand now\n%s", before, after)
		}
		if err := b.validate(true); err != nil {
			t.Error(err)
		}
	})
}

// randomChange adds, deletes or alters one or several Services.
func randomChange(rng *rand.Rand, spec synth.Spec, s modes.Snapshot, i int) modes.Snapshot {
	for range 1 + rng.IntN(3) {
		at := rng.IntN(len(s.Services))
		switch rng.IntN(4) {
		case 0:
			s = s.With(spec.Service(1000 + rng.IntN(1000)))
		case 1:
			s = s.Without(at)
		case 2:
			svc := *s.Services[at]
			svc.Endpoints = append(slices.Clone(svc.Endpoints), modes.Endpoint{Addr: spec.SpareEndpoint(10*i + rng.IntN(1000))})
			s = s.With(&svc)
		case 3:
			svc := *s.Services[at]
			svc.Endpoints = svc.Endpoints[:rng.IntN(len(svc.Endpoints)+1)]
			s = s.With(&svc)
		}
	}
	return s
}

func sortedLines(s string) string {
	var keep []string
	for line := range strings.Lines(s) {
		// Interface numbers, and sizes of sets, depend on history.
		if i := strings.Index(line, ": kube-ipvs0"); i >= 0 {
			line = line[i:]
		}
		if !strings.HasPrefix(line, "Size in memory") && !strings.HasPrefix(line, "Header") {
			keep = append(keep, line)
		}
	}
	slices.Sort(keep)
	return strings.Join(keep, "")
}

// TestTrial runs a whole trial of each mode, as bench does.
func TestTrial(t *testing.T) {
	eachMode(t, catalog.All().Names(), func(t *testing.T, name string) {
		setUp(t, name, synth.Spec{Services: 1, Endpoints: 1, Ports: 1}) // skips where the mode is missing
		var out bytes.Buffer
		spec := Spec{ID: "t", Mode: name, Testbed: inside.Testbed(), Synth: synth.Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 1},
			Plan: Plan{FullSyncs: 2, Deltas: 1, Packets: 3, Warmup: 1, Connect: 50 * time.Millisecond, Workers: 2, Iperf: time.Second}}
		if err := RunJob(t.Context(), catalog.All(), Job{Trials: []Spec{spec}, ProxyCommand: proxyCommand(t)}, NewEmitter(&out)); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for line := range bytes.Lines(out.Bytes()) {
			var ev Event
			if err := json.Unmarshal(line, &ev); err != nil {
				t.Fatal(err)
			}
			if r := ev.Record; r != nil {
				seen[r.Metric] += max(1, len(r.Values))
				if r.Err != "" {
					t.Errorf("the trial failed: %s", r.Err)
				}
			}
		}
		want := map[string]int{results.FirstPacket: 30 + 4*3, results.EstablishedPacket: 18, results.ConnectionsRate: 1, results.Throughput: 2, results.Done: 1}
		if name != "direct" {
			want[results.SyncFull], want[results.SyncDelta], want[results.FirstCorrect] = 2, 4, 3
		}
		for metric, n := range want {
			if seen[metric] != n {
				t.Errorf("%s: %d samples, want %d", metric, seen[metric], n)
			}
		}
	})
}

// TestWrongForwardingIsNotTimed lets a mode send a Service to the wrong place.
func TestWrongForwardingIsNotTimed(t *testing.T) {
	b := setUp(t, "iptables", synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1})
	right := b.snap
	wrong := *right.Services[0]
	wrong.Endpoints = []modes.Endpoint{{Addr: netip.MustParseAddr("10.200.0.1")}}
	b.sync(right.With(&wrong))
	b.snap = right
	if err := b.validate(true); err == nil || !strings.Contains(err.Error(), "none of its endpoints") {
		t.Errorf("validate said %v", err)
	}
}

// TestUnevenChoiceIsSeen gives one endpoint of two a share that is not even.
func TestUnevenChoiceIsSeen(t *testing.T) {
	b := setUp(t, "iptables", synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1})
	b.sync(b.snap)
	err := b.net.Node.Do(func() error {
		chain := ""
		out, err := exec.Command("iptables-legacy-save", "-t", "nat").Output()
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "-A" && strings.Contains(line, "statistic") && strings.Contains(line, "10.128.") {
				chain = f[1]
			}
		}
		if err != nil || chain == "" {
			return errors.Join(err, errors.New("no chain with a statistic rule"))
		}
		return exec.Command("iptables-legacy", "-t", "nat", "-D", chain, "2").Run()
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.evenChoice(b.snap.Services[0]); err == nil || !strings.Contains(err.Error(), "not even") {
		t.Errorf("evenChoice said %v", err)
	}
}

// TestTopologyIsGone proves that closing a topology frees its namespaces.
func TestTopologyIsGone(t *testing.T) {
	net, err := topo.Build(topo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := net.Close(); err != nil {
		t.Fatal(err)
	}
	links, err := exec.Command("ip", "-o", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(links), "to-client") || strings.Contains(string(links), "to-backend") {
		t.Errorf("links of the topology in the outer namespace:\n%s", links)
	}
}

// TestPortsExhausted: a client that runs out of ports says so.
func TestPortsExhausted(t *testing.T) {
	b := setUp(t, "direct", synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
	b.Plan.Connect, b.Plan.Workers = 100*time.Millisecond, 4
	err := b.net.Client.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.quietly(b.connections)(t.Context()); err == nil || !strings.Contains(err.Error(), "local ports are exhausted") {
		t.Errorf("got %v", err)
	}
}

// TestConntrackFull: a trial in which the node's conntrack table was full is
// marked. The limit is the kernel's, so only the guest's can be lowered.
func TestConntrackFull(t *testing.T) {
	if inside.Testbed() != testbed.UMLName {
		return // run in the guest only; see there
	}
	const limit = "/proc/sys/net/netfilter/nf_conntrack_max"
	b := setUp(t, "iptables", synth.Spec{Services: 3, Endpoints: 1, Ports: 1, Seed: 1})
	b.sync(b.Synth.Snapshot())
	before, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(limit, []byte("10"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(limit, before, 0)
	for range 40 {
		_, _ = b.ask(b.net.Client, &workload.Prober{Wait: 50 * time.Millisecond}, modes.TCP, front(b.snap.Services[0]))
		b.prober.Wait = 50 * time.Millisecond
		_, _ = b.ask(b.net.Client, b.prober, modes.TCP, front(b.snap.Services[1]))
	}
	b.noteDrops()
	if !strings.Contains(b.mark, "conntrack table was full") {
		t.Errorf("marked %q", b.mark)
	}
}

// TestAffinityEnds: a client keeps its endpoint until it has been away for the
// timeout, and then chooses again.
func TestAffinityEnds(t *testing.T) {
	eachMode(t, catalog.All().Serving().Names(), func(t *testing.T, name string) {
		b := setUp(t, name, synth.Spec{Services: 1, Endpoints: 6, Ports: 1, Seed: 1})
		svc := *b.Synth.Service(0)
		svc.Affinity = 2 * time.Second
		b.sync(modes.Snapshot{Services: []*modes.Service{&svc}, ClusterCIDR: synth.EndpointRange})
		away := 3 * time.Second
		if name == "ipvs" {
			// A choice that is due while connections made under it are remembered
			// (ten seconds after a reset) is kept for a minute more
			// (ip_vs_conn_expire in net/netfilter/ipvs/ip_vs_conn.c).
			away = 75 * time.Second
		}
		chosen := map[netip.Addr]bool{}
		// Six endpoints: eight times the same by chance is 1 in 280000.
		for range 8 {
			first, err := b.ask(b.net.Client, b.prober, modes.TCP, front(&svc))
			if err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if next, err := b.ask(b.net.Client, b.prober, modes.TCP, front(&svc)); err != nil || next != first {
					t.Fatalf("first %s, then %s, %v", first, next, err)
				}
			}
			if chosen[first] = true; len(chosen) > 1 {
				return
			}
			time.Sleep(away)
		}
		t.Errorf("eight times the same endpoint of six, with %s between: %v", away, chosen)
	})
}

// TestSchedulers: every scheduler of the kernel serves, and those that are meant to
// share evenly do.
func TestSchedulers(t *testing.T) {
	if inside.Testbed() != testbed.UMLName {
		return // IPVS is in the guest only; see there
	}
	for _, s := range ipvs.Schedulers() {
		t.Run(s, func(t *testing.T) {
			r := setUpSpec(t, Spec{Mode: "ipvs", Args: modes.Args{ipvs.SchedulerParam: s}, Synth: synth.Spec{Services: 3, Endpoints: 3, Ports: 1, Seed: 1}})
			r.sync(r.snap)
			if err := r.validate(true); err != nil {
				t.Error(err)
			}
			if text, err := r.dump(t.Context()); err != nil || !strings.Contains(text, "-s "+s+"\n") {
				t.Errorf("%v: %s", err, text)
			}
		})
	}
}

func (r *run) dump(ctx context.Context) (text string, err error) {
	err = r.net.Node.Do(func() error {
		text, err = r.mode.Dump(ctx)
		return err
	})
	return text, err
}
