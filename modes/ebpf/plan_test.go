package ebpf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/modes"
	"viplab/modes/modetest/golden"
	"viplab/modes/packet/story"
)

var _ = golden.Flag()

// TestTables holds what Maglev's tables hold for the Services of each book of stories against
// what they did before. Random choice is with the stories of all modes.
func TestTables(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, b := range books {
		for _, f := range modes.Dual.Parts() {
			part := b.Snapshot.Of(f)
			if len(part.Services) == 0 || Limits().CheckAll(Name, part) != nil {
				continue
			}
			fmt.Fprintf(&out, "## %s, %s\n", b.Name, f)
			if err := NewProgram(Options{Family: f, Select: Maglev}, part).Write(&out); err != nil {
				t.Fatal(err)
			}
		}
	}
	golden.Check(t, "maglev.txt", out.String())
}

// TestFronts: what an endpoint is for follows the traffic policies; it keeps its id, so that
// its flows go on, while fronts that led to it lead there no more.
func TestFronts(t *testing.T) {
	here, there := netip.MustParseAddr("10.128.0.1"), netip.MustParseAddr("10.128.0.2")
	service := func(c modes.Condition) *modes.Service {
		return &modes.Service{
			Namespace: "lab", Name: "svc", ClusterIP: netip.MustParseAddr("10.96.0.1"), Affinity: time.Hour, ExternalLocal: true,
			Ports:     []modes.ServicePort{{Protocol: modes.TCP, Port: 80, TargetPort: 8080, NodePort: 30001}},
			Endpoints: []modes.Endpoint{{Addr: here, Local: true, Condition: c}, {Addr: there}},
		}
	}
	p := Options{}.planner()
	if err := p.Begin(modes.Snapshot{Services: []*modes.Service{service(modes.Ready)}}); err != nil {
		t.Fatal(err)
	}
	var before []Entry
	if err := p.All(func(c *Change) error { before = slices.Clone(c.Put[Backends]); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(before) != 2 || before[0].Fronts != ByCluster|ByLocal || before[1].Fronts != ByCluster {
		t.Errorf("the backends are for %+v", before)
	}
	change, err := p.Plan(modes.Snapshot{Services: []*modes.Service{service(modes.Terminating)}})
	if err != nil {
		t.Fatal(err)
	}
	want := before[0]
	want.Fronts = ByLocal
	if put := change.Put[Backends]; len(put) != 1 || !put[0].equal(want) || len(change.Delete[Backends]) != 0 {
		t.Errorf("backends %+v are put, %+v deleted; want %+v alone", put, change.Delete[Backends], want)
	}
}
