// Package tell tells packet stories (modes/packet/story) with real packets: it programs a
// book's Services in a mode, serves their endpoints, sends each story's packet and holds
// what became of it against what was to become of it.
//
// [Teller] does that on a trial's stage; [Run] does it for several modes in the testbed
// that the process is in, and [In] asks a testbed to.
package tell

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/packet/story"
	"viplab/workload"
)

// Teller sends the packets of stories on a stage that is set up.
type Teller struct {
	*trial.Stage
	pods map[netip.Addr]*workload.Prober
}

// New makes a Teller.
func New(st *trial.Stage) *Teller { return &Teller{Stage: st, pods: map[netip.Addr]*workload.Prober{}} }

// Waits for what must be answered, and for what must not.
const patient, impatient = 2500 * time.Millisecond, 300 * time.Millisecond

// Tell sends a story's packet and says what is wrong with what became of it, "" if
// nothing is. had holds the endpoint that each flow of the book had last, and is kept up
// to date.
func (t *Teller) Tell(s story.Story, want story.Fate, had map[string]netip.Addr) string {
	at := topo.Of(modes.FamilyOf(s.Flow.Dst.Addr()))
	ns, p, sender := t.Net.Client, t.Prober, at.Client.Addr()
	switch s.Flow.From {
	case modes.FromNode:
		ns, p, sender = t.Net.Node, t.InNode, at.Node.Addr()
	case modes.FromPod:
		sender = s.Flow.Src.Addr()
		ns, p = t.Net.Backend, t.podProber(sender)
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
	if want.Kind == story.Endpoint || want.Kind == story.Stays {
		return answered(a, err, want, before, sender, s.Flow.Dst.Addr())
	}
	return unanswered(a, err, want, s.Flow.Dst.Addr())
}

// answered says what is wrong where an endpoint was to answer.
func answered(a workload.Answer, err error, want story.Fate, before, sender, dialled netip.Addr) string {
	switch {
	case err != nil:
		return err.Error()
	case want.Kind == story.Stays && a.Endpoint != before:
		return fmt.Sprintf("it went from %s to %s", before, a.Endpoint)
	case want.Kind == story.Endpoint && !slices.Contains(want.Endpoints, a.Endpoint):
		return fmt.Sprintf("%s answered", a.Endpoint)
	case want.Kind == story.Endpoint:
		return want.WrongSource(a.Source, sender, dialled, func(seen netip.Addr) bool { return slices.Contains(topo.NodeAddrs(), seen) })
	}
	return ""
}

// unanswered says what is wrong where nobody was to answer.
func unanswered(a workload.Answer, err error, want story.Fate, dst netip.Addr) string {
	refused := errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH)
	switch {
	case errors.Is(err, unix.EPERM):
		// What the node's own rules keep a datagram of its own from, whether they refuse or
		// drop it, its sender is told at once.
		return ""
	case err == nil && want.Kind == story.Unserved && a.Endpoint == dst:
		// The network behind the node has all VIPs, so that what the node lets through is
		// answered: here by a server of another Service's port.
		return ""
	case err == nil:
		return fmt.Sprintf("%s answered", a.Endpoint)
	case want.Kind == story.Dropped && refused, want.Kind == story.Closed && refused,
		want.Kind == story.Refused && !refused:
		return err.Error()
	}
	return ""
}

// podProber is a prober that starts at an endpoint's address.
func (t *Teller) podProber(a netip.Addr) *workload.Prober {
	if t.pods[a] == nil {
		t.pods[a] = &workload.Prober{Source: a}
	}
	return t.pods[a]
}
