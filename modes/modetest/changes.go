package modetest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// secondSyncDoesNothing: the same Snapshot again costs nothing and changes nothing.
func secondSyncDoesNothing(t *testing.T, m modes.Mode) {
	b := NewRig(t, m, nil, synth.Spec{Services: 20, Endpoints: 2, Ports: 1, Seed: 1})
	first := b.Program(b.Snapshot)
	if first.Rules+first.Objects == 0 {
		t.Fatal("the first sync wrote nothing")
	}
	before := b.State()
	again := b.Program(modes.Snapshot{Services: slices.Clone(b.Snapshot.Services), ClusterCIDR: b.Snapshot.ClusterCIDR})
	if again.Rules+again.Objects+again.ToolCalls+again.Bytes != 0 {
		t.Errorf("the second sync cost %+v", again)
	}
	if after := b.State(); after != before {
		t.Errorf("the second sync changed the kernel:\n%s\nto\n%s", before, after)
	}
}

// closeLeavesNothing: after Close the node is as before, and no process is left.
func closeLeavesNothing(t *testing.T, m modes.Mode) {
	b := NewRig(t, m, nil, synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1})
	before := b.State()
	outer := *b.Snapshot.Services[0]
	outer.Ports = slices.Clone(outer.Ports)
	outer.Ports[0].NodePort, outer.ExternalIPs = 30001, []netip.Addr{netip.MustParseAddr("10.111.0.1")}
	b.Program(b.Snapshot.With(&outer))
	if b.State() == before {
		t.Fatal("sync changed nothing that this test could see")
	}
	pid := b.ProxyPIDs()
	if err := b.Net.Node.Do(b.Proxier.Close); err != nil {
		t.Fatal(err)
	}
	if after := b.State(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
	for _, id := range pid {
		if _, err := workload.UsageOf(id); err == nil {
			t.Errorf("the proxy process %d is still there", id)
		}
	}
	if err := b.Net.Node.Do(b.Proxier.Close); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// changesEndAsFresh makes random changes and proves that the kernel then holds what a
// mode that never saw anything but the last Snapshot would have put there.
func changesEndAsFresh(t *testing.T, m modes.Mode, o Options) {
	spec := synth.Spec{Services: 30, Endpoints: 2, Ports: 1, Seed: 3}
	b := NewRig(t, m, nil, spec)
	b.Program(b.Snapshot)
	for i := range 12 {
		b.Program(randomChange(b.Rand, spec, b.Snapshot, i))
	}
	for _, svc := range b.Snapshot.Services {
		if len(svc.Endpoints) == 0 {
			if err := b.Unanswered(trial.Front(svc)); err != nil {
				t.Error(err)
			}
		} else if err := b.RightEndpoint(b.Net.Client, b.Prober, modes.TCP, svc); err != nil {
			t.Error(err)
		}
	}
	if o.HistoryShows {
		return // its ports depend on history
	}
	fresh := NewRig(t, m, nil, spec)
	fresh.Program(b.Snapshot)
	if got, want := sortedLines(b.State()), sortedLines(fresh.State()); got != want {
		t.Errorf("after changes the kernel holds\n%s\na fresh sync gives\n%s", got, want)
	}
}

// refreshChangesNothing: writing everything again changes nothing.
func refreshChangesNothing(t *testing.T, m modes.Mode) {
	b := NewRig(t, m, nil, synth.Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	before := b.State()
	r, ok := b.Proxier.(modes.Refresher)
	if !ok {
		t.Skip("the mode writes nothing again of itself")
	}
	err := b.Net.Node.Do(func() error {
		_, err := r.Refresh(t.Context())
		return err
	})
	if after := b.State(); err != nil || sortedLines(after) != sortedLines(before) {
		t.Errorf("%v; the kernel held\n%s\nand now\n%s", err, before, after)
	}
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
