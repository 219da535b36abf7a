package modetest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	google "github.com/google/nftables"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/nftables"
	"viplab/modes/snapshot/synth"
)

// eachLayout runs a test in all layouts of mode nftables, by netlink and by the tool.
func eachLayout(t *testing.T, spec synth.Spec, test func(*testing.T, func() *Rig)) {
	for _, layout := range nftables.Layouts() {
		for _, apply := range nftables.Appliers() {
			t.Run(string(layout)+"-"+apply, func(t *testing.T) {
				args := modes.Args{nftables.LayoutParam: string(layout), nftables.ApplyParam: apply}
				test(t, func() *Rig { return NewRig(t, nftables.Mode(), args, spec) })
			})
		}
	}
}

// TestLayouts: in every layout, Services forward rightly, and random changes lead to
// what a fresh sync writes.
func TestLayouts(t *testing.T) {
	spec := synth.Spec{Services: 20, Endpoints: 3, Ports: 2, Seed: 3}
	eachLayout(t, spec, func(t *testing.T, start func() *Rig) {
		b := start()
		b.Program(b.Snapshot)
		if err := b.Validate(true); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, 5))
		for i := range 12 {
			b.Program(randomChange(rng, spec, b.Snapshot, i))
		}
		for _, svc := range b.Snapshot.Services {
			if len(svc.Endpoints) > 0 {
				if err := b.RightEndpoint(b.Net.Client, b.Prober, modes.TCP, svc); err != nil {
					t.Error(err)
				}
			}
		}
		fresh := start()
		fresh.Program(b.Snapshot)
		if got, want := sortedLines(b.State()), sortedLines(fresh.State()); got != want {
			t.Errorf("after changes the kernel holds\n%s\na fresh sync gives\n%s", got, want)
		}
	})
}

// TestTableLost: who takes the table away from behind the mode makes one Sync fail; the
// next one writes all of it.
func TestTableLost(t *testing.T) {
	spec := synth.Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 3}
	eachLayout(t, spec, func(t *testing.T, start func() *Rig) {
		b := start()
		b.Program(b.Snapshot)
		before := sortedLines(b.State())
		err := b.Net.Node.Do(func() error {
			c := google.Conn{}
			c.DelTable(&google.Table{Name: nftables.TableName, Family: google.TableFamilyIPv4})
			return c.Flush()
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Sync(t.Context(), b.Snapshot.With(spec.Service(7))); err == nil {
			t.Fatal("nothing was seen of the loss")
		}
		b.Program(b.Snapshot)
		if after := sortedLines(b.State()); after != before {
			t.Errorf("the kernel held\n%s\nand now\n%s", before, after)
		}
		if err := b.Validate(true); err != nil {
			t.Error(err)
		}
	})
}

// TestManyRanges: a Service has more source ranges than one message holds, and a source is
// let through whichever of them it is in.
func TestManyRanges(t *testing.T) {
	b := NewRig(t, nftables.Mode(), nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 3})
	outer, client := netip.MustParseAddr("10.111.7.7"), topo.Of(modes.IPv4).Client.Addr()
	const ranges = 4000
	plain := *b.Snapshot.Services[0]
	for _, before := range []int{0, ranges / 2, ranges} {
		svc := plain
		svc.LoadBalancerIPs = []netip.Addr{outer}
		at := client.Next()
		for range before {
			at = at.Prev().Prev()
		}
		for len(svc.SourceRanges) < ranges {
			if at = at.Next().Next(); at != client {
				svc.SourceRanges = append(svc.SourceRanges, modes.Host(at))
			}
		}
		for _, in := range []bool{false, true} {
			if !in && before != ranges/2 {
				continue // to be ignored takes long
			}
			with := svc
			if in {
				with.SourceRanges = append(slices.Clone(svc.SourceRanges), modes.Host(client))
			}
			b.Program(b.Snapshot.With(&with))
			_, err := b.Ask(b.Net.Client, b.Prober, modes.TCP, netip.AddrPortFrom(outer, 80))
			if (err == nil) != in {
				t.Errorf("a client at %s, in a range %t, after %d others: %v", client, in, before, err)
			}
		}
	}
}

// TestToolMissing: without the tool, only what needs it is missing, and says how to
// mend that.
func TestToolMissing(t *testing.T) {
	NewRig(t, nftables.Mode(), nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}) // skips where the mode is missing
	t.Setenv("PATH", t.TempDir())
	for apply, want := range map[string]bool{nftables.Netlink: false, nftables.Tool: true} {
		p := nftables.New(nftables.Options{Apply: apply})
		if err := p.Probe(t.Context()); modes.IsMissing(err) != want {
			t.Errorf("by %s: %v", apply, err)
		}
	}
}
