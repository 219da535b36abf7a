package ebpf

import (
	"testing"

	"viplab/modes/snapshot/synth"
)

// BenchmarkPlan plans 20 000 Services on an empty node, and one more on top of them.
func BenchmarkPlan(b *testing.B) {
	s := synth.Spec{Services: 20000, Endpoints: 2, Ports: 1, Seed: 1}.Snapshot()
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := Options{}.planner()
			if err := p.Begin(s); err != nil {
				b.Fatal(err)
			}
			if err := p.All(func(*Change) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		p := Options{}.planner()
		if err := p.Begin(s); err != nil {
			b.Fatal(err)
		}
		less := s.Without(10000)
		for i := 0; b.Loop(); i++ {
			next := s
			if i%2 == 0 {
				next = less
			}
			if _, err := p.Plan(next); err != nil {
				b.Fatal(err)
			}
		}
	})
}
