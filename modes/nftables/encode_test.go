package nftables

import (
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// TestFitting: a Change that is too large for one transaction is cut where nothing is
// torn apart, and all of it is sent.
func TestFitting(t *testing.T) {
	const room = 4000
	spec := synth.Spec{Services: 100, Endpoints: 3, Ports: 1, Seed: 1}
	p := Planner{Options: Options{Layout: KubeProxy, Family: modes.IPv4}}
	e := encoder{family: modes.IPv4, name: TableName, sets: declared{}}
	if err := e.encode(p.Delta(spec.Snapshot())); err != nil {
		t.Fatal(err)
	}
	sent, parts, torn := 0, 0, 0
	for list, joined := e.out, e.joined; len(list) > 0; parts++ {
		if joined[0] {
			torn++
		}
		n := fitting(list, joined, room)
		if size(list[:n]) > room && n > 4 {
			t.Errorf("%d messages of %d bytes, more than %d", n, size(list[:n]), room)
		}
		sent += n
		list, joined = list[n:], joined[n:]
	}
	if sent != len(e.out) || parts < 10 || torn > 0 {
		t.Errorf("%d of %d messages in %d parts, %d of them begin amid something", sent, len(e.out), parts, torn)
	}
	if n := fitting(e.out, e.joined, 1<<30); n != len(e.out) {
		t.Errorf("%d of %d messages where there is room for all", n, len(e.out))
	}
}

// TestElementsFit: a message never holds more elements than its length can say.
func TestElementsFit(t *testing.T) {
	for _, f := range modes.Dual.Parts() {
		spec := synth.Spec{Services: 3000, Endpoints: 3, Ports: 1, Seed: 1, Family: f}
		for _, l := range Layouts() {
			p := Planner{Options: Options{Layout: l, Family: f}}
			e := encoder{family: f, name: TableName, sets: declared{}}
			if err := e.encode(p.Delta(spec.Snapshot())); err != nil {
				t.Fatal(err)
			}
			for _, m := range e.out {
				if len(m.Data) >= 1<<16 {
					t.Errorf("%s %s: a message of %d bytes", l, f, len(m.Data))
				}
			}
		}
	}
}

// TestRangesFit: a Service may have more source ranges than go into one message, and all of
// them come, each with both ends in one.
func TestRangesFit(t *testing.T) {
	for f, first := range map[modes.Family]string{modes.IPv4: "10.0.0.1/32", modes.IPv6: "fd00::1/128"} {
		svc := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1, Family: f}.Service(0)
		svc.LoadBalancerIPs = []netip.Addr{netip.MustParsePrefix(first).Addr()}
		const ranges = 5000
		at := netip.MustParsePrefix(first).Addr()
		for range ranges {
			svc.SourceRanges = append(svc.SourceRanges, modes.Host(at))
			at = at.Next().Next()
		}
		p := Planner{Options: Options{Family: f}}
		c := p.Delta(modes.Snapshot{Services: []*modes.Service{svc}})
		c.AddElements = nil
		e := encoder{family: f, name: TableName, sets: declared{}}
		if err := e.encode(c); err != nil {
			t.Fatal(err)
		}
		begin, end, inAll := 0, 0, 0
		for _, m := range e.out {
			if len(m.Data) >= 1<<16 {
				t.Errorf("%s: a message of %d bytes", f, len(m.Data))
			}
			if m.Header.Type&0xff != unix.NFT_MSG_NEWSETELEM {
				continue
			}
			one := ends(t, m)
			if one[0] != one[1] {
				t.Errorf("%s: a message has %d beginnings and %d ends", f, one[0], one[1])
			}
			begin, end, inAll = begin+one[0], end+one[1], inAll+1
		}
		if want := ranges * len(svc.Ports); begin != want || end != want || inAll < 2 {
			t.Errorf("%s: %d beginnings and %d ends in %d messages, want %d", f, begin, end, inAll, want)
		}
	}
}

// ends counts the beginnings and the ends of ranges in a message.
func ends(t *testing.T, m netlink.Message) (n [2]int) {
	t.Helper()
	inside := func(b []byte, kind uint16, do func([]byte)) {
		ad, err := netlink.NewAttributeDecoder(b)
		if err != nil {
			t.Fatal(err)
		}
		for ad.Next() {
			if ad.Type() == kind {
				do(ad.Bytes())
			}
		}
		if err := ad.Err(); err != nil {
			t.Fatal(err)
		}
	}
	inside(m.Data[4:], unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list []byte) {
		inside(list, unix.NFTA_LIST_ELEM, func(item []byte) {
			which := 0
			inside(item, unix.NFTA_SET_ELEM_FLAGS, func([]byte) { which = 1 })
			n[which]++
		})
	})
	return n
}
