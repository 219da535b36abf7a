package modes_test

import (
	"slices"
	"testing"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

func TestDiffAndEdits(t *testing.T) {
	spec := synth.Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 1}
	a := spec.Snapshot()
	if d := modes.Diff(a, a); len(d) != 0 {
		t.Errorf("a snapshot differs from itself: %v", d)
	}
	added := a.With(spec.Service(9))
	gone := added.Without(2)
	changed := *gone.Services[0]
	changed.Endpoints = nil
	b := gone.With(&changed)
	var got []string
	for _, c := range modes.Diff(a, b) {
		switch {
		case c.Old == nil:
			got = append(got, "+"+c.New.Name)
		case c.New == nil:
			got = append(got, "-"+c.Old.Name)
		default:
			got = append(got, "~"+c.New.Name)
		}
	}
	want := []string{"~svc-0000000", "-svc-0000002", "+svc-0000009"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(a.Services) != 5 || a.Services[2].Name != "svc-0000002" {
		t.Error("the original snapshot was changed")
	}
}

// BenchmarkDiff is one change among 50000 Services; it must stay far below the
// time of programming that change.
func BenchmarkDiff(b *testing.B) {
	spec := synth.Spec{Services: 50000, Endpoints: 2, Ports: 1, Seed: 1}
	from := spec.Snapshot()
	to := from.With(spec.Service(60000))
	for b.Loop() {
		if len(modes.Diff(from, to)) != 1 {
			b.Fatal("not one change")
		}
	}
}
