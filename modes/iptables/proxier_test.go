package iptables

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/packet/conntrack"
	"viplab/modes/packet/rules"
	"viplab/modes/packet/rules/fake"
	"viplab/modes/snapshot/synth"
)

// memory runs iptables-restore and -save on tables in memory.
type memory struct{ fake.Tables }

func (m memory) Run(_ context.Context, stdin modes.Input, _ string, args ...string) ([]byte, modes.Cost, error) {
	if stdin == nil {
		return []byte(m.Save(args[len(args)-1])), modes.Cost{}, nil
	}
	var b strings.Builder
	w := bufio.NewWriter(&b)
	if err := errors.Join(stdin(w), w.Flush()); err != nil {
		return nil, modes.Cost{}, err
	}
	return nil, modes.Cost{}, m.Load(b.String())
}

// TestCleanUpFails: an error of the clean-up of conntrack comes after the commit. Whatever
// follows starts from the rules that it has left, and looks for the same entries again.
func TestCleanUpFails(t *testing.T) {
	spec := synth.Spec{Services: 4, Endpoints: 2, Ports: 1, Seed: 1}
	tables := memory{fake.Tables{}}
	p := New(nil, Restorer{Runner: tables})
	var failure error
	var looked []string
	var all []modes.Change
	p.cleaner.Do = func(changes []modes.Change, _ conntrack.Leads) (int, error) {
		looked, all = nil, changes
		for _, c := range changes {
			looked = append(looked, c.New.Name)
		}
		return 0, failure
	}
	snap := spec.Snapshot()
	snap.Node.Addrs = []netip.Addr{netip.MustParseAddr("10.64.0.1")}
	sync := func() {
		t.Helper()
		if _, err := p.Sync(t.Context(), snap); !errors.Is(err, failure) {
			t.Fatalf("want %v, got %v", failure, err)
		}
		fresh, anew := fake.Tables{}, Planner{}
		if err := fresh.Load(render(t, rules.Ruleset{}, anew.Plan(snap))); err != nil {
			t.Fatal(err)
		}
		if got, want := tables.Dump(), fresh.Dump(); got != want {
			t.Fatalf("the tables hold\n%s\nwant\n%s", got, want)
		}
	}
	move := func(i int) {
		svc := *snap.Services[i]
		svc.Ports = slices.Clone(svc.Ports)
		svc.Ports[0].Port += 100 // which is in the dispatch rules
		snap = snap.With(&svc)
	}
	sync()
	move(0)
	sync() // from here on there is memory to use again
	for i := range 4 {
		failure = errors.New("no table to read")
		move(i)
		sync()
		failure = nil
		next := (i + 1) % 4
		move(next)
		sync()
		for _, svc := range []*modes.Service{snap.Services[i], snap.Services[next]} {
			if !slices.Contains(looked, svc.Name) {
				t.Errorf("no entries of %s were looked for, only of %v", svc.Name, looked)
			}
		}
		sync()
		if len(looked) > 0 {
			t.Errorf("entries of %v were looked for once more", looked)
		}
	}
	before := snap.Services[0]
	more := *before
	more.Endpoints = append(slices.Clone(before.Endpoints), modes.Endpoint{Addr: netip.MustParseAddr("10.200.0.1")})
	failure, snap = errors.New("no table to read"), snap.With(&more)
	sync()
	failure, snap = nil, snap.With(before)
	if sync(); !slices.Contains(all, modes.Change{Old: &more, New: before}) {
		t.Errorf("entries of an endpoint that came and went were not looked for, only %v", all)
	}
}
