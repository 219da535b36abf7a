package nftables

import (
	"testing"

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
