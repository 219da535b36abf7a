package conntrack

import (
	"errors"
	"slices"
	"testing"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// TestCleanerOwes: entries that an error left are looked for after the next Sync, by what
// holds then, whether the same Service changes again, goes, or is as it was before.
func TestCleanerOwes(t *testing.T) {
	failure := errors.New("no table to read")
	var looked []modes.Change
	var fails error
	c := Cleaner{Do: func(changes []modes.Change, _ Leads) (int, error) { looked = changes; return 1, fails }}
	snap := synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1}.Snapshot()
	last := modes.Snapshot{}
	sync := func(next modes.Snapshot, err error) {
		t.Helper()
		fails = err
		var cost modes.Cost
		if got := c.After(modes.Diff(last, next), next, &cost); !errors.Is(got, err) || cost.Objects != 1 {
			t.Fatalf("got %v and %d objects, want %v", got, cost.Objects, err)
		}
		last = next
	}
	sync(snap, nil)
	first := snap.Services[0]
	more := *first
	more.Endpoints = append(slices.Clone(first.Endpoints), modes.Endpoint{Addr: first.Endpoints[0].Addr.Next().Next()})

	sync(snap.With(&more), failure)
	sync(snap.With(&more).Without(1), nil)
	if !slices.Contains(looked, modes.Change{Old: first, New: &more}) || !slices.Contains(looked, modes.Change{Old: snap.Services[1]}) {
		t.Errorf("after another Service went, looked for %v", looked)
	}
	sync(last, nil)
	if len(looked) > 0 {
		t.Errorf("looked for %v again", looked)
	}
	sync(last.With(first), failure)
	sync(last.Without(0), nil)
	if !slices.Contains(looked, modes.Change{Old: &more}) {
		t.Errorf("after the Service itself went, looked for %v", looked)
	}
	sync(snap, nil)
	sync(snap.With(&more), failure)
	sync(snap, nil)
	if !slices.Contains(looked, modes.Change{Old: &more, New: first}) {
		t.Errorf("after the Service is as it was, looked for %v", looked)
	}
}
