package modes_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// slowly is a part of a Snapshot as it is found by looking at every Service.
func slowly(s modes.Snapshot, f modes.Family) (out modes.Snapshot) {
	for _, svc := range s.Services {
		if svc.Family() == f {
			out.Services = append(out.Services, svc)
		}
	}
	return out
}

// TestOf: whatever Snapshots are made of each other, their parts are what a look at every
// Service finds, and so is what differs between two parts.
func TestOf(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := modes.Snapshot{ClusterCIDR: synth.EndpointRange, ClusterCIDR6: synth.EndpointRange6}
		seen := []modes.Snapshot{s}
		for range 60 {
			s = edited(t, rng, s)
			if rng.IntN(10) == 0 {
				s = seen[rng.IntN(len(seen))] // as when a measurement goes back to where it began
			}
			for _, from := range append(seen[max(0, len(seen)-3):], seen[rng.IntN(len(seen))], s) {
				for _, f := range modes.Dual.Parts() {
					part := s.Of(f)
					if want := slowly(s, f).Services; !slices.Equal(part.Services, want) {
						t.Fatalf("seed %d: the part of %s is %v, want %v", seed, f, part.Services, want)
					}
					if got, want := modes.Diff(from.Of(f), part), modes.Diff(slowly(from, f), slowly(s, f)); !slices.Equal(got, want) {
						t.Fatalf("seed %d: of %s differ %v, want %v", seed, f, got, want)
					}
				}
			}
			seen = append(seen, s)
		}
	}
	s := modes.Snapshot{ClusterCIDR: synth.EndpointRange, ClusterCIDR6: synth.EndpointRange6}
	if a, b := s.Of(modes.IPv4).ClusterCIDR, s.Of(modes.IPv6).ClusterCIDR; a != synth.EndpointRange || b != synth.EndpointRange6 {
		t.Errorf("cluster ranges %s and %s", a, b)
	}
}

// edited makes one edit or several, mostly of Services of both families.
func edited(t *testing.T, rng *rand.Rand, s modes.Snapshot) modes.Snapshot {
	t.Helper()
	service := func(i int, six bool) *modes.Service {
		a := netip.AddrFrom4([4]byte{10, 96, 0, byte(1 + i)})
		if six {
			a = netip.MustParseAddr(fmt.Sprintf("fd00:10:96::%x", 1+i))
		}
		return &modes.Service{Namespace: "x", Name: fmt.Sprintf("s%d", i), ClusterIP: a}
	}
	for range 1 + rng.IntN(2) {
		at := 0
		if len(s.Services) > 0 {
			at = rng.IntN(len(s.Services))
		}
		switch n := rng.IntN(10); {
		case n < 4:
			s = s.With(service(rng.IntN(8), rng.IntN(2) == 0))
		case n < 6 && len(s.Services) > 0:
			s = s.Without(at)
		case n == 6 && len(s.Services) > 0: // it becomes one of the other family
			svc := *s.Services[at]
			s = s.Without(at)
			s = s.With(service(int(svc.Name[1]-'0'), svc.Family() == modes.IPv4))
		case n == 7:
			var err error
			if s, err = s.Normal(); err != nil {
				t.Fatal(err)
			}
		case n == 8 && rng.IntN(3) == 0:
			s.Services = s.Services[:at] // by hand
		case n == 9 && rng.IntN(3) == 0: // of one family alone
			s = slowly(s, modes.Dual.Parts()[rng.IntN(2)])
		}
	}
	return s
}

// TestOfLooksAtNothing: to find what changed in either part takes no look at a Service that
// did not, of which there may be many thousands.
func TestOfLooksAtNothing(t *testing.T) {
	for _, f := range modes.Families() {
		spec := synth.Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 1, Family: f}
		for _, kind := range modes.ChangeKinds() {
			s, err := spec.Snapshot().Normal()
			if err != nil {
				t.Fatal(err)
			}
			next, _, err := spec.Apply(s, kind)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range []modes.Snapshot{s, next, s.Of(modes.IPv4), s.Of(modes.IPv6), next.Of(modes.IPv4), next.Of(modes.IPv6)} {
				clear(one.Services) // a look at any would panic
			}
			for _, part := range f.Parts() {
				if d := modes.Diff(s.Of(part), next.Of(part)); len(d) != 1 {
					t.Errorf("%s, %s, %s: %d changes", f, kind, part, len(d))
				}
			}
		}
	}
}

// BenchmarkOf is what a change of a dual-stack Service takes before its proxiers know it,
// which is the same for any number of Services.
func BenchmarkOf(b *testing.B) {
	for _, n := range []int{1000, 50000} {
		b.Run(fmt.Sprintf("%d services", n), func(b *testing.B) {
			spec := synth.Spec{Services: n, Endpoints: 2, Ports: 1, Seed: 1, Family: modes.Dual}
			s, err := spec.Snapshot().Normal()
			if err != nil {
				b.Fatal(err)
			}
			next, _, err := spec.Apply(s, modes.ServiceAdd)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, f := range modes.Dual.Parts() {
					if len(modes.Diff(s.Of(f), next.Of(f))) != 1 {
						b.Fatal("not one change")
					}
				}
			}
		})
	}
}
