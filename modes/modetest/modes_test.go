package modetest

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
	"viplab/modes/ipvs"
	"viplab/modes/snapshot/synth"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// options says what is different about some of the lab's modes.
func options(m modes.Mode) Options {
	switch m.Name {
	case "userspace":
		return Options{HistoryShows: true} // its ports are handed out
	case "ipvs":
		// A choice that is due while connections made under it are remembered (ten
		// seconds after a reset) is kept for a minute more (ip_vs_conn_expire in
		// net/netfilter/ipvs/ip_vs_conn.c).
		return Options{AffinityLingers: 75 * time.Second}
	}
	return Options{}
}

// TestConformance: every mode of the lab passes the suite.
func TestConformance(t *testing.T) {
	for _, m := range catalog.All() {
		t.Run(m.Name, func(t *testing.T) { Run(t, m, options(m)) })
	}
}

// TestStrategies: however updates are written, the kernel holds the same.
func TestStrategies(t *testing.T) {
	for _, m := range catalog.All().With(iptables.SyncParam) {
		t.Run(m.Name, func(t *testing.T) {
			spec := synth.Spec{Services: 4, Endpoints: 2, Ports: 1, Seed: 3}
			states := map[iptables.Strategy]string{}
			for _, strategy := range iptables.Strategies() {
				b := NewRig(t, m, modes.Args{iptables.SyncParam: string(strategy)}, spec)
				b.Program(b.Snapshot)
				rng := rand.New(rand.NewPCG(9, 9))
				for i := range 3 {
					b.Program(randomChange(rng, spec, b.Snapshot, i))
				}
				states[strategy] = sortedLines(b.State())
			}
			for strategy, got := range states {
				if got != states[iptables.Partial] {
					t.Errorf("%s led to\n%s\npartial to\n%s", strategy, got, states[iptables.Partial])
				}
			}
		})
	}
}

// TestSchedulers: every scheduler of the kernel serves, and those that are meant to
// share evenly do.
func TestSchedulers(t *testing.T) {
	if inside.Testbed() != testbed.UMLName {
		return // IPVS is in the guest only; see there
	}
	for _, s := range ipvs.Schedulers() {
		t.Run(s, func(t *testing.T) {
			b := NewRig(t, ipvs.Mode(), modes.Args{ipvs.SchedulerParam: s}, synth.Spec{Services: 3, Endpoints: 3, Ports: 1, Seed: 1})
			b.Program(b.Snapshot)
			if err := b.Validate(true); err != nil {
				t.Error(err)
			}
			if text, err := b.dump(); err != nil || !strings.Contains(text, " "+ipvs.Options{Scheduler: s}.SchedulerArgs()+"\n") {
				t.Errorf("%v: %s", err, text)
			}
		})
	}
}

func (b *Rig) dump() (text string, err error) {
	err = b.Net.Node.Do(func() error {
		text, err = b.Proxier.Dump(b.t.Context())
		return err
	})
	return text, err
}

// TestVariants: mode ipvs forwards rightly and follows changes however VIPs are
// bound, packets forwarded, and what to masquerade looked up.
func TestVariants(t *testing.T) {
	mode := ipvs.Mode()
	all := []modes.Args{{ipvs.ForwardParam: ipvs.DirectRouting, ipvs.BindParam: ipvs.BindAddress}, {ipvs.ForwardParam: ipvs.Tunnel, ipvs.BindParam: ipvs.BindAddress}}
	for _, p := range mode.Params {
		if p.Name != ipvs.SchedulerParam { // see TestSchedulers
			all = append(all, mode.Product(map[string][]string{p.Name: p.Values})...)
		}
	}
	for _, args := range all {
		t.Run(args.String(), func(t *testing.T) { testVariant(t, args, modes.IPv4) })
	}
	for _, bind := range ipvs.Binds() {
		t.Run("ipv6/"+bind, func(t *testing.T) { testVariant(t, modes.Args{ipvs.BindParam: bind}, modes.IPv6) })
	}
}

func testVariant(t *testing.T, args modes.Args, family modes.Family) {
	mode := ipvs.Mode()
	spec := synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1, Family: family, SamePort: mode.TraitsOf(args).DirectServerReturn}
	b := NewRig(t, mode, args, spec)
	before := b.State()
	b.Program(b.Snapshot)
	if err := b.Validate(true); err != nil {
		t.Fatal(err)
	}
	gone := b.Snapshot.Services[4]
	b.Program(b.Snapshot.Without(4))
	if err := b.Unanswered(trial.Front(gone)); err != nil {
		t.Error(err)
	}
	if err := b.Net.Node.Do(b.Proxier.Close); err != nil {
		t.Fatal(err)
	}
	if after := b.State(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// TestDrain: IPVS has weight 0 for an endpoint that is drained, behind every virtual server
// of its Service; none has it once it is deleted, and all as before when it is put back.
func TestDrain(t *testing.T) {
	b := NewRig(t, ipvs.Mode(), nil, synth.Spec{Services: 1, Endpoints: 2, Ports: 2, Seed: 1})
	svc := *b.Snapshot.Services[0] // TCP and UDP at the first port, TCP at the second
	svc.Ports = slices.Clone(svc.Ports)
	svc.Ports[0].NodePort = 30080
	b.Program(b.Snapshot.With(&svc))
	before, err := b.dump()
	if err != nil {
		t.Fatal(err)
	}
	drainer, ok := b.PartOf(&svc).(modes.Drainer)
	if !ok {
		t.Fatal("mode ipvs drains no endpoint")
	}
	ep := svc.Endpoints[0]
	for _, step := range []struct {
		name        string
		do          func(*modes.Service, modes.Endpoint) error
		left, quiet int // of each of the endpoint's real servers
	}{{"drain", drainer.Drain, 1, 1}, {"evict", drainer.Evict, 0, 0}, {"readmit", drainer.Readmit, 1, 0}} {
		if err := b.Net.Node.Do(func() error { return step.do(&svc, ep) }); err != nil {
			t.Fatal(err)
		}
		now, err := b.dump()
		if err != nil {
			t.Fatal(err)
		}
		server := " -r " + ep.Addr.String() + ":"
		all, left, quiet := strings.Count(before, server), strings.Count(now, server), strings.Count(now, " -w 0\n")
		if all < 4 || left != all*step.left || quiet != all*step.quiet {
			t.Errorf("%s: of %d real servers there are %d, and %d have weight 0:\n%s", step.name, all, left, quiet, now)
		}
	}
}

// TestWeights: the weighted round robin of IPVS goes by weights, and a weight that
// changes is obeyed.
func TestWeights(t *testing.T) {
	b := NewRig(t, ipvs.Mode(), modes.Args{ipvs.SchedulerParam: "wrr"}, synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1, Weights: []int{1, 3}})
	b.Program(b.Snapshot)
	shares := func(want ...float64) {
		t.Helper()
		got, err := b.Choices(b.Snapshot.Services[0], 40)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	shares(10, 30)
	svc := *b.Snapshot.Services[0]
	svc.Endpoints = slices.Clone(svc.Endpoints)
	svc.Endpoints[0].Weight = 3
	b.Program(b.Snapshot.With(&svc))
	shares(20, 20)
}
