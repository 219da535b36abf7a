package ebpf

import (
	"net/netip"
	"testing"

	"viplab/modes"
	"viplab/modes/packet/story"
)

// hosts are those of the lab's topology.
func hosts(f modes.Family) story.Hosts {
	if f == modes.IPv6 {
		return story.Hosts{Client: netip.MustParseAddr("fd00:10:128:0:ffff::2"), Node: netip.MustParseAddr("fd00:10:64::1")}
	}
	return story.Hosts{Client: netip.MustParseAddr("10.255.255.2"), Node: netip.MustParseAddr("10.64.0.1")}
}

// nodes are all addresses of the lab's node.
func nodes() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("10.255.255.1"), hosts(modes.IPv4).Node, netip.MustParseAddr("fd00:10:128:0:ffff::1"), hosts(modes.IPv6).Node}
}

// TestStories tells every story that the mode can serve with the tracer.
func TestStories(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, b := range books {
		if Limits().CheckAll(Name, b.Snapshot) != nil {
			continue
		}
		b.Snapshot.Node.Addrs = nodes()
		for _, args := range []modes.Args{{}, {SelectParam: string(Maglev)}} {
			outcomes, err := b.Trace(Mode(), args, hosts)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range outcomes {
				told++
				if one.Wrong != "" {
					t.Errorf("%v, %s: %s: %s", args, b.Name, one.Title, one.Wrong)
				}
			}
		}
	}
	if told < 300 {
		t.Errorf("%d stories were told", told)
	}
}
