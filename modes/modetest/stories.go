package modetest

import (
	"errors"
	"net/netip"
	"testing"

	"viplab/lab/tell"
	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/modes"
	"viplab/modes/packet/story"
	"viplab/modes/snapshot/synth"
)

// stories tells every story with real packets, in every mode that can; a mode
// that cannot says so before it programs anything.
func stories(t *testing.T, m modes.Mode, o Options) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	b := NewRig(t, m, nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 2, Seed: 1, Family: modes.Dual})
	if err := errors.Join(b.Net.LetPodsDial(), b.Net.LiftICMPLimit()); err != nil {
		t.Fatal(err)
	}
	told, teller := 0, tell.New(b.Stage)
	for _, book := range books {
		_, err := b.Sync(t.Context(), book.Snapshot)
		var unsupported *modes.UnsupportedError
		if errors.As(err, &unsupported) {
			t.Logf("%s: %v", book.Name, err)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", book.Name, err)
		}
		if !b.serve(teller, book) {
			continue
		}
		had := map[string]netip.Addr{}
		for _, s := range book.Stories {
			told++
			name := book.Name + ": " + s.Title
			if msg := teller.Tell(s, s.In(m.InStories()), had); msg != "" || o.Differs[name] != "" {
				b.note(name, msg, o.Differs[name])
			}
		}
	}
	t.Logf("%s: %d stories", m.Name, told)
}

// note says how a story ended that should have ended otherwise, or was said to.
func (b *Rig) note(name, msg, why string) {
	b.t.Helper()
	switch {
	case why == "":
		b.t.Errorf("%s: %s", name, msg)
	case msg == "":
		b.t.Errorf("%s: it ended as it should, but is listed as different: %s", name, why)
	default:
		b.t.Logf("DIFFERS: %s: %s: %s", name, msg, why)
	}
}

// serve starts servers where a book's endpoints listen; it says false where the kernel has
// no SCTP, which the guest's has.
func (b *Rig) serve(teller *tell.Teller, book story.Book) bool {
	stop, err := teller.Serve(book.Snapshot)
	if modes.IsMissing(err) && inside.Testbed() != testbed.UMLName {
		b.t.Logf("SKIPPED: %s on testbed %s: %v", book.Name, inside.Testbed(), err)
		return false
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(stop)
	return true
}
