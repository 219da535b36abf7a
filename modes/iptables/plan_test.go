package iptables

import (
	"bufio"
	"net/netip"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

var _ = golden.Flag()

func render(t *testing.T, from, to rules.Ruleset) string {
	t.Helper()
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), from, to); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	spec := synth.Spec{Services: 2, Endpoints: 2, Ports: 1, Seed: 1}
	p := Planner{}
	golden.Check(t, "plan.txt", render(t, rules.Ruleset{}, p.Plan(spec.Snapshot())))
}

// TestDelta: what each kind of change writes.
func TestDelta(t *testing.T) {
	spec := synth.Spec{Services: 4, Endpoints: 2, Ports: 1, Seed: 1}
	p, snap := Planner{}, spec.Snapshot()
	whole := p.Plan(snap)
	var out strings.Builder
	for _, kind := range modes.ChangeKinds() {
		next, _, err := spec.Apply(snap, kind)
		if err != nil {
			t.Fatal(err)
		}
		old, now, after := p.Delta(whole, next)
		out.WriteString("# " + kind + "\n" + render(t, old, now))
		snap, whole = next, after
	}
	golden.Check(t, "delta.txt", out.String())
}

func TestNoEndpoints(t *testing.T) {
	spec := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}
	svc := *spec.Service(0)
	svc.Endpoints = nil
	p := Planner{}
	got := render(t, rules.Ruleset{}, p.Plan(modes.Snapshot{Services: []*modes.Service{&svc}}))
	if strings.Contains(got, "KUBE-SVC") || !strings.Contains(got, "has no endpoints") || !strings.Contains(got, "-j REJECT") {
		t.Errorf("got\n%s", got)
	}
}

// TestComplexity fixes how many chains and rules a topology takes, so that
// whoever changes a plan sees what it costs: 1+E chains and 2+3E rules for each
// port, beside 19 fixed rules and 8 fixed chains.
func TestComplexity(t *testing.T) {
	for _, c := range []struct{ services, endpoints, ports, chains, rules int }{
		{1, 1, 1, 8 + 2*2, 19 + 2*5},
		{1000, 2, 1, 8 + 1016*3, 19 + 1016*8},
		{5000, 10, 1, 8 + 5016*11, 19 + 5016*32},
		{20000, 2, 1, 8 + 20016*3, 19 + 20016*8},
	} {
		p := Planner{}
		spec := synth.Spec{Services: c.services, Endpoints: c.endpoints, Ports: c.ports, Seed: 1}
		chains, n := p.Plan(spec.Snapshot()).Count()
		if chains != c.chains || n != c.rules {
			t.Errorf("%d services of %d: %d chains and %d rules, want %d and %d", c.services, c.endpoints, chains, n, c.chains, c.rules)
		}
	}
}

// TestNames holds the chain names against those that the real kube-proxy gave
// for the same Service (example from its documentation of the hash; what dumps of many
// clusters have; and its comments).
func TestNames(t *testing.T) {
	for want, name := range map[string][3]string{
		"KUBE-SVC-XPGD46QRK7WJZT7O": {"ns1", "svc1", "p80"},
		"KUBE-SVC-NPX46M4PTMTKRN6Y": {"default", "kubernetes", "https"},
		"KUBE-SVC-2CMXP7HKUVJN7L6M": {"default", "nginx", ""},
	} {
		svc := &modes.Service{Namespace: name[0], Name: name[1], ClusterIP: netip.MustParseAddr("10.96.0.1"),
			Ports:     []modes.ServicePort{{Name: name[2], Protocol: modes.TCP, Port: 80, TargetPort: 8080}},
			Endpoints: []modes.Endpoint{{Addr: netip.MustParseAddr("10.128.0.1")}}}
		comment := strings.TrimSuffix(strings.Join(name[:2], "/")+":"+name[2], ":") + " cluster IP"
		for _, r := range AppendLeaves(nil, svc) {
			if r.Chain != want || r.Comment != comment {
				t.Errorf("got %s, %q, want %s, %q", r.Chain, r.Comment, want, comment)
			}
		}
	}
}

func BenchmarkPlan20000(b *testing.B) {
	spec := synth.Spec{Services: 20000, Endpoints: 2, Ports: 1, Seed: 1}
	snap := spec.Snapshot()
	for b.Loop() {
		p := Planner{}
		if _, n := p.Plan(snap).Count(); n == 0 {
			b.Fatal("no rules")
		}
	}
}
