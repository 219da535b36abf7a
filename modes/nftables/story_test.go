package nftables

import (
	"net/netip"
	"testing"

	"viplab/modes"
	"viplab/modes/packet/story"
)

// nodeOf and clientOf are those of the lab's topology.
func nodeOf(f modes.Family) netip.Addr {
	if f == modes.IPv6 {
		return netip.MustParseAddr("fd00:10:64::1")
	}
	return netip.MustParseAddr("10.64.0.1")
}

func clientOf(f modes.Family) netip.Addr {
	if f == modes.IPv6 {
		return netip.MustParseAddr("fd00:10:128:0:ffff::2")
	}
	return netip.MustParseAddr("10.255.255.2")
}

// variants are all layouts, applied by netlink and by the tool, for which the plan of
// some of them differs.
func variants(f modes.Family) (out []Options) {
	for _, l := range Layouts() {
		for _, a := range Appliers() {
			out = append(out, Options{Layout: l, Apply: a, Family: f})
		}
	}
	return out
}

func books(t *testing.T) []story.Book {
	t.Helper()
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	return books
}

// TestStories tells every story with the tracer, in every layout.
func TestStories(t *testing.T) {
	told := 0
	for _, b := range books(t) {
		if err := Limits().CheckAll("nftables", b.Snapshot); err != nil {
			t.Fatal(err)
		}
		b.Snapshot.Node.Addrs = nodes()
		for _, o := range variants("") {
			args := modes.Args{LayoutParam: string(o.Layout), ApplyParam: o.Apply}
			outcomes, err := b.Trace(Mode(), args, func(f modes.Family) story.Hosts { return story.Hosts{Client: clientOf(f), Node: nodeOf(f)} })
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range outcomes {
				told++
				if one.Wrong != "" {
					t.Errorf("%s by %s, %s: %s: %s", o.Layout, o.Apply, b.Name, one.Title, one.Wrong)
				}
			}
		}
	}
	if told < 60*len(Layouts()) {
		t.Errorf("%d stories were told", told)
	}
}

// nodes are all addresses of the lab's node.
func nodes() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("10.255.255.1"), nodeOf(modes.IPv4), netip.MustParseAddr("fd00:10:128:0:ffff::1"), nodeOf(modes.IPv6)}
}
