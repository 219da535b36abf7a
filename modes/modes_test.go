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

// TestDiffOfAnEdit: what an edit remembers is what a comparison finds, also where its list
// or that of the Snapshot before was changed since.
func TestDiffOfAnEdit(t *testing.T) {
	spec := synth.Spec{Services: 4, Endpoints: 2, Ports: 1, Seed: 1}
	base := spec.Snapshot()
	other := *base.Services[1]
	emptied := base
	emptied.Services = nil
	for name, next := range map[string]modes.Snapshot{
		"add":         base.With(spec.Service(9)),
		"replace":     base.With(&other),
		"same again":  base.With(base.Services[1]),
		"delete":      base.Without(3),
		"two":         base.Without(0).With(&other),
		"undone":      base.With(spec.Service(9)).Without(4),
		"first":       emptied.With(spec.Service(9)),
		"last":        emptied.With(spec.Service(9)).Without(0),
		"cut short":   cut(base.With(spec.Service(9)), 2),
		"of another":  cut(base, 3).With(&other),
		"grown again": spec.Snapshot().With(&other),
	} {
		for _, from := range []modes.Snapshot{base, cut(base, 3), emptied, next} {
			a, b := from, next
			a.Services, b.Services = slices.Clone(a.Services), slices.Clone(b.Services)
			if got, want := modes.Diff(from, next), modes.Diff(a, b); !slices.Equal(got, want) {
				t.Errorf("%s, from %d services: %v, compared %v", name, len(from.Services), got, want)
			}
		}
	}
}

func cut(s modes.Snapshot, n int) modes.Snapshot {
	s.Services = s.Services[:n]
	return s
}

// BenchmarkDiff is one change among 50000 Services; it must stay far below the
// time of programming that change, also where it is not known how one was made.
func BenchmarkDiff(b *testing.B) {
	spec := synth.Spec{Services: 50000, Endpoints: 2, Ports: 1, Seed: 1}
	from := spec.Snapshot()
	to := from.With(spec.Service(60000))
	to.Services = slices.Clone(to.Services)
	for b.Loop() {
		if len(modes.Diff(from, to)) != 1 {
			b.Fatal("not one change")
		}
	}
}

// TestCountsInWords: of one there is one.
func TestCountsInWords(t *testing.T) {
	c := modes.Counts{modes.CountRules: 1, modes.CountEntries: 1, modes.CountVIPs: 2, modes.CountChains: 0}
	if got := c.String(); got != "2 bound VIPs, 1 rule, 1 set entry" {
		t.Error(got)
	}
}
