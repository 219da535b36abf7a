package modetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/packet/story"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// stories tells every story with real packets, in every mode that can; a mode
// that cannot says so before it programs anything.
func stories(t *testing.T, m modes.Mode, o Options) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	b := NewRig(t, m, nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 2, Seed: 1, Family: modes.Dual})
	if err := b.Net.LetPodsDial(); err != nil {
		t.Fatal(err)
	}
	told := 0
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
		if !b.serveSCTP(book) {
			continue
		}
		had := map[string]netip.Addr{}
		for _, s := range book.Stories {
			told++
			name := book.Name + ": " + s.Title
			if msg := b.tell(s, s.In(cmp.Or(m.PeerOf, m.Name)), had); msg != "" || o.Differs[name] != "" {
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

// serveSCTP starts a server for the endpoints of a book's SCTP ports, if it has any;
// it says false where the kernel has no SCTP, which the guest's has.
func (b *Rig) serveSCTP(book story.Book) bool {
	at := map[netip.AddrPort]bool{}
	for _, svc := range book.Snapshot.Services {
		for _, p := range svc.Ports {
			for _, ep := range svc.Endpoints {
				if p.Protocol == modes.SCTP {
					at[ep.At(p)] = true
				}
			}
		}
	}
	if len(at) == 0 {
		return true
	}
	err := b.Net.Backend.Do(func() error {
		s, err := workload.Serve(workload.Listen{SCTP: slices.Collect(maps.Keys(at))})
		if err == nil {
			b.t.Cleanup(s.Close)
		}
		return err
	})
	if errors.Is(err, unix.EPROTONOSUPPORT) && inside.Testbed() != testbed.UMLName {
		b.t.Logf("SKIPPED: %s on testbed %s: this kernel has no SCTP: %v", book.Name, inside.Testbed(), err)
		return false
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return true
}

// tell sends a story's packet and says what is wrong with what became of it.
func (b *Rig) tell(s story.Story, want story.Fate, had map[string]netip.Addr) string {
	at := topo.Of(modes.FamilyOf(s.Flow.Dst.Addr()))
	ns, p, sender := b.Net.Client, b.Prober, at.Client.Addr()
	switch s.Flow.From {
	case modes.FromNode:
		ns, p, sender = b.Net.Node, b.InNode, at.Node.Addr()
	case modes.FromPod:
		sender = s.Flow.Src.Addr()
		ns, p = b.Net.Backend, b.podProber(sender)
	}
	p.Wait = patient
	if want.Kind == story.Dropped || want.Kind == story.Unserved {
		p.Wait = impatient
	}
	var a workload.Answer
	err := ns.Do(func() (err error) {
		a, err = p.AskBoth(s.Flow.Proto, s.Flow.Dst)
		return err
	})
	key := s.Flow.String()
	before := had[key]
	had[key] = a.Endpoint
	refused := errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH)
	switch {
	case want.Kind == story.Endpoint || want.Kind == story.Stays:
		return answered(a, err, want, before, sender)
	case err == nil:
		return fmt.Sprintf("%s answered", a.Endpoint)
	case want.Kind == story.Dropped && refused, want.Kind == story.Closed && refused,
		want.Kind == story.Refused && !refused:
		return err.Error()
	}
	return ""
}

func answered(a workload.Answer, err error, want story.Fate, before, sender netip.Addr) string {
	switch {
	case err != nil:
		return err.Error()
	case want.Kind == story.Stays && a.Endpoint != before:
		return fmt.Sprintf("it went from %s to %s", before, a.Endpoint)
	case want.Kind == story.Endpoint && !slices.Contains(want.Endpoints, a.Endpoint):
		return fmt.Sprintf("%s answered", a.Endpoint)
	case want.Kind == story.Endpoint && want.Kept && a.Source != sender:
		return fmt.Sprintf("the endpoint saw %s", a.Source)
	case want.Kind == story.Endpoint && !want.Kept && !slices.Contains(topo.NodeAddrs(), a.Source):
		return fmt.Sprintf("the endpoint saw %s, not the node", a.Source)
	}
	return ""
}

// podProber is a prober that starts at an endpoint's address.
func (b *Rig) podProber(a netip.Addr) *workload.Prober {
	if b.pods == nil {
		b.pods = map[netip.Addr]*workload.Prober{}
	}
	if b.pods[a] == nil {
		b.pods[a] = &workload.Prober{Source: a}
	}
	return b.pods[a]
}

// Waits for what must be answered, and for what must not.
const patient, impatient = 2500 * time.Millisecond, 300 * time.Millisecond
