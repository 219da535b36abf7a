package nftables

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"viplab/modes"
)

// TestLongNames: names stay as long as the kernel allows, and those of two endpoints that
// differ only in what is cut off stay apart.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("x", modes.MaxName)
	svc := &modes.Service{Namespace: long, Name: long, ClusterIP: netip.MustParseAddr("fd00::1"), Affinity: time.Hour, ExternalLocal: true,
		LoadBalancerIPs: []netip.Addr{netip.MustParseAddr("fd00::2")}, SourceRanges: []netip.Prefix{netip.MustParsePrefix("fd00::/64")},
		Ports: []modes.ServicePort{{Name: long, Protocol: modes.SCTP, Port: 80, TargetPort: 65535}}}
	for _, a := range []string{"fd00:1000:1000:1000:1000:1000:1000:1000", "fd00:1000:1000:1000:1000:1000:1000:1001"} {
		svc.Endpoints = append(svc.Endpoints, modes.Endpoint{Addr: netip.MustParseAddr(a), Local: true})
	}
	s, err := modes.Snapshot{Services: []*modes.Service{svc}}.Normal()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range Layouts() {
		p := Planner{Options: Options{Layout: l, Family: modes.IPv6}}
		table, seen := p.Plan(s), map[string]bool{}
		for _, c := range table.Chains {
			seen[c.Name] = true
		}
		for _, set := range table.Sets {
			seen[set.Name] = true
		}
		for name := range seen {
			if len(name) > 255 {
				t.Errorf("%s: a name of %d characters: %s", l, len(name), name)
			}
		}
		if len(seen) != len(table.Chains)+len(table.Sets) {
			t.Errorf("%s: names occur twice", l)
		}
	}
	if name := endpointName(svc, svc.Ports[0], svc.Endpoints[0].At(svc.Ports[0])); len(name) != maxBase || !strings.HasSuffix(name, cut) {
		t.Errorf("%d characters, not as kube-proxy cuts them: %s", len(name), name)
	}
}
