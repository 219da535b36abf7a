package ipvs

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

var _ = golden.Flag()

func list(changes []modes.Change) string {
	var b strings.Builder
	for o := range Plan(changes) {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	spec := synth.Spec{Services: 2, Endpoints: 2, Ports: 1, Seed: 1}
	snap := spec.Snapshot()
	var out strings.Builder
	out.WriteString("# all\n" + list(modes.Diff(modes.Snapshot{}, snap)))
	for _, kind := range modes.ChangeKinds() {
		next, _, err := spec.Apply(snap, kind)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("# " + kind + "\n" + list(modes.Diff(snap, next)))
		snap = next
	}
	golden.Check(t, "plan.txt", out.String())
}

func TestRules(t *testing.T) {
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), rules.Ruleset{}, Options{}.rules(modes.Snapshot{ClusterCIDR: synth.EndpointRange}, node{}, false)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "rules.txt", b.String())
}

// TestRulesWithoutSets: a rule for each entry that a set would have, and one more place.
func TestRulesWithoutSets(t *testing.T) {
	spec := synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1}
	var b strings.Builder
	if _, err := rules.Edit(bufio.NewWriter(&b), rules.Ruleset{}, Options{Lookup: LookupRules}.rules(spec.Snapshot(), node{}, false)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "lookup-rules.txt", b.String())
}

// TestRefusals: what the options cannot serve is said before anything is programmed.
func TestRefusals(t *testing.T) {
	snap := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}.Snapshot()
	outer := *snap.Services[0]
	outer.ExternalIPs = []netip.Addr{netip.MustParseAddr("10.111.0.1")}
	six := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1, Family: modes.IPv6, SamePort: true}.Snapshot()
	for want, c := range map[string]struct {
		o Options
		s modes.Snapshot
	}{
		"endpoints listen on another port": {Options{Forward: DirectRouting}, snap},
		"without ipsets only cluster IPs":  {Options{Lookup: LookupRules}, snap.With(&outer)},
		"end tunnels of IPv4 only":         {Options{Forward: Tunnel, Family: modes.IPv6}, six},
		"of the other address family":      {Options{}, six},
	} {
		err := c.o.check(modes.Diff(modes.Snapshot{}, c.s))
		var unsupported *modes.UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestReals: an endpoint's real servers are behind every virtual server that gives it
// traffic, at its own port if it has one, and no other endpoint's are among them.
func TestReals(t *testing.T) {
	at := netip.MustParseAddr
	a, b := at("10.128.0.1"), at("10.128.0.2")
	svc := &modes.Service{Namespace: "x", Name: "s", ClusterIP: at("10.96.0.1"), ExternalIPs: []netip.Addr{at("10.111.0.1")}, ExternalLocal: true,
		Ports: []modes.ServicePort{
			{Name: "http", Protocol: modes.TCP, Port: 80, TargetPort: 8080, NodePort: 30080},
			{Name: "dns", Protocol: modes.UDP, Port: 80, TargetPort: 8053},
			{Name: "more", Protocol: modes.TCP, Port: 81, TargetPort: 8081},
		},
		Endpoints: []modes.Endpoint{
			{Addr: a, Local: true, Weight: 3}, {Addr: b},
			{Addr: at("10.128.0.3"), Port: 9000, Only: "more"}, {Addr: at("10.128.0.3"), Port: 9001, Only: "http", Local: true},
		}}
	p := New(Options{})
	p.node = nodeOf(modes.NodeConfig{}, at("10.64.0.1"), at("10.64.0.2"))
	for i, want := range []string{
		`-t 10.96.0.1:80 -r 10.128.0.1:8080 -m -w 3
-u 10.96.0.1:80 -r 10.128.0.1:8053 -m -w 3
-t 10.96.0.1:81 -r 10.128.0.1:8081 -m -w 3
-t 10.111.0.1:80 -r 10.128.0.1:8080 -m -w 3
-t 10.64.0.1:30080 -r 10.128.0.1:8080 -m -w 3
-t 10.64.0.2:30080 -r 10.128.0.1:8080 -m -w 3
-u 10.111.0.1:80 -r 10.128.0.1:8053 -m -w 3
-t 10.111.0.1:81 -r 10.128.0.1:8081 -m -w 3`,
		`-t 10.96.0.1:80 -r 10.128.0.2:8080 -m -w 1
-u 10.96.0.1:80 -r 10.128.0.2:8053 -m -w 1
-t 10.96.0.1:81 -r 10.128.0.2:8081 -m -w 1`,
		`-t 10.96.0.1:81 -r 10.128.0.3:9000 -m -w 1`,
		`-t 10.96.0.1:80 -r 10.128.0.3:9001 -m -w 1
-t 10.111.0.1:80 -r 10.128.0.3:9001 -m -w 1
-t 10.64.0.1:30080 -r 10.128.0.3:9001 -m -w 1
-t 10.64.0.2:30080 -r 10.128.0.3:9001 -m -w 1`,
	} {
		var got []string
		for _, o := range p.reals(svc, svc.Endpoints[i]) {
			got = append(got, strings.TrimPrefix(o.String(), "ipvsadm -a "))
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("of endpoint %d:\n%s\nwant\n%s", i, strings.Join(got, "\n"), want)
		}
	}
}
