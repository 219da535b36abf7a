package trial_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/direct"
	"viplab/modes/iptables"
	"viplab/modes/modetest"
	"viplab/modes/pipe"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// TestWrongForwardingIsNotTimed lets a mode send a Service to the wrong place.
func TestWrongForwardingIsNotTimed(t *testing.T) {
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1})
	right := b.Snapshot
	wrong := *right.Services[0]
	wrong.Endpoints = []modes.Endpoint{{Addr: netip.MustParseAddr("10.200.0.1")}}
	b.Program(right.With(&wrong))
	b.Snapshot = right
	if err := b.Validate(true); err == nil || !strings.Contains(err.Error(), "none of its endpoints") {
		t.Errorf("Validate said %v", err)
	}
}

// TestUnevenChoiceIsSeen gives one endpoint of two a share that is not even.
func TestUnevenChoiceIsSeen(t *testing.T) {
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	err := b.Net.Node.Do(func() error {
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
	if err := b.Validate(true); err == nil || !strings.Contains(err.Error(), "not even") {
		t.Errorf("Validate said %v", err)
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

// TestConntrackFull: a trial in which the node's conntrack table was full is
// marked. The limit is the kernel's, so only the guest's can be lowered.
func TestConntrackFull(t *testing.T) {
	if inside.Testbed() != testbed.UMLName {
		return // run in the guest only; see there
	}
	const limit = "/proc/sys/net/netfilter/nf_conntrack_max"
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 3, Endpoints: 1, Ports: 1, Seed: 1})
	b.Program(b.Synth.Snapshot())
	before, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(limit, []byte("10"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(limit, before, 0)
	for range 40 {
		_, _ = b.Ask(b.Net.Client, &workload.Prober{Wait: 50 * time.Millisecond}, modes.TCP, trial.Front(b.Snapshot.Services[0]))
		b.Prober.Wait = 50 * time.Millisecond
		_, _ = b.Ask(b.Net.Client, b.Prober, modes.TCP, trial.Front(b.Snapshot.Services[1]))
	}
	if mark := b.Mark(); !strings.Contains(mark, "conntrack table was full") {
		t.Errorf("marked %q", mark)
	}
}

// leaver counts how a Proxier is let go of.
type leaver struct {
	modes.Proxier
	left, closed int
}

func (l *leaver) Leave() error {
	l.left++
	return nil
}

func (l *leaver) Close() error {
	l.closed++
	return l.Proxier.Close()
}

// TestAbandonedIsLeft: a set-up whose Sync was cut off is not cleared, but what the mode
// holds beside its namespace is let go of.
func TestAbandonedIsLeft(t *testing.T) {
	b := modetest.NewRig(t, direct.Mode(), nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
	p := &leaver{Proxier: b.Proxier}
	b.Proxier = p
	if err := b.Abandon(); err != nil {
		t.Fatal(err)
	}
	if p.left != 1 || p.closed != 0 {
		t.Errorf("left %d times, closed %d times", p.left, p.closed)
	}
}

// TestTornDownIsFreed tears a node of many rules down, whose mode leaves them to the
// namespace: when that is done, the kernel has freed them.
func TestTornDownIsFreed(t *testing.T) {
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 3000, Endpoints: 2, Ports: 1, Seed: 1})
	empty, err := workload.ReadKernelMemory()
	if err != nil {
		t.Fatal(err)
	}
	b.Program(b.Snapshot)
	full, err := workload.ReadKernelMemory()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.TearDown(); err != nil {
		t.Fatal(err)
	}
	after, err := workload.ReadKernelMemory()
	if err != nil {
		t.Fatal(err)
	}
	grown, kept := full.Since(empty).Total(), after.Since(empty).Total()
	t.Logf("%d bytes programmed, %d kept", grown, kept)
	if grown < 3e6 || kept > grown/4 {
		t.Errorf("a table of %d bytes was programmed, of which %d are left", grown, kept)
	}
}

// TestCapabilitiesOfSysctls: what a scenario sets and this kernel does not take is found out
// before anything is played; settings of IPVS are only missed where there is IPVS.
func TestCapabilitiesOfSysctls(t *testing.T) {
	for _, c := range []struct {
		sysctl trial.Sysctl
		lacks  bool
	}{
		{trial.Sysctl{Name: "net.ipv4.icmp_ratelimit", Value: "0"}, false},
		{trial.Sysctl{Name: "net.ipv4.icmp_ratelimits", Value: "0"}, true},
		{trial.Sysctl{Name: "net.ipv4.ip_default_ttl", Value: "999"}, true},
		{trial.Sysctl{Name: "net.ipv4.conf.kube-ipvs0.rp_filter", Value: "0"}, false},
		{trial.Sysctl{Name: "net.ipv4.vs.conn_reuse_mode", Value: "0"}, false},
	} {
		v := trial.VariantOf(direct.Mode(), nil, modes.IPv4)
		v.Sysctls = []trial.Sysctl{c.sysctl}
		lacks, err := trial.Capabilities(t.Context(), catalog.All(), []trial.Variant{v})
		if err != nil || (lacks[0] != nil) != c.lacks {
			t.Errorf("%v: lacks %+v, %v", c.sysctl, lacks, err)
		}
	}
}

// mute is a Proxier whose program never greets; it counts how often it was asked.
type mute struct {
	modes.Proxier
	asked *int
}

func (m mute) Probe(context.Context) error {
	*m.asked++
	return fmt.Errorf("greet: %w", pipe.ErrSilent)
}

// TestSilentIsAskedOnce: what a silent program costs is waited for once, and every variant of
// its mode has the same answer; other modes have their own.
func TestSilentIsAskedOnce(t *testing.T) {
	asked := 0
	silent := direct.Mode()
	silent.Name = "mute"
	silent.New = func(modes.Args, modes.Machine) modes.Proxier { return mute{asked: &asked} }
	variants := []trial.Variant{{Mode: "mute"}, {Mode: "direct"}, {Mode: "mute", Family: modes.IPv6}, {Mode: "mute", Args: modes.Args{"x": "1"}}}
	lacks, err := trial.Capabilities(t.Context(), catalog.Catalog{silent, direct.Mode()}, variants)
	if err != nil || asked != 1 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	for i, v := range variants {
		if is := lacks[i] != nil && strings.Contains(lacks[i].Why, "silent"); is != (v.Mode == "mute") {
			t.Errorf("%v: %+v", v, lacks[i])
		}
	}
}

// TestUnansweredAtOnce: where routes refuse addresses that are no Service, as they do where
// endpoints listen on the Service's own port, that is known at once, and the node reaches
// its Services nevertheless.
func TestUnansweredAtOnce(t *testing.T) {
	b := modetest.NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1, SamePort: true, Family: modes.Dual})
	b.Program(b.Snapshot)
	if err := b.Validate(true); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for range 4 { // as often as a trial asks
		if err := b.Unanswered(b.Spare()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("four refusals took %s", took)
	}
	if err := b.Unanswered(b.Target(b.Snapshot.Services[0])); err == nil {
		t.Error("a Service counts as unanswered")
	}
	if err := b.Net.LetPodsDial(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Unanswered(b.Spare()), b.Validate(true)); err != nil {
		t.Errorf("where pods may dial: %v", err)
	}
}
