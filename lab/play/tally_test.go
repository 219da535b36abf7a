package play

import (
	"math"
	"testing"
	"time"

	"viplab/modes"
	"viplab/workload"
)

// TestDue: what was due in a phase and was not sent in it is counted, whether it was sent
// later, never, or the schedule had run out; what is a little late is not.
func TestDue(t *testing.T) {
	second := time.Second
	tr := &traffic{rate: 10, begun: second, ended: 3*second + 20*time.Millisecond}
	for i := range 15 { // until 2.5 s
		due := second + time.Duration(i)*second/10
		tr.requests = append(tr.requests, workload.Request{Intended: due, Sent: due + time.Millisecond, Done: due + 2*time.Millisecond})
	}
	tr.answers = make([]workload.Answer, len(tr.requests))
	tr.requests[9].Sent += 50 * time.Millisecond  // 1.95 s
	tr.requests[8].Sent += 700 * time.Millisecond // 2.5 s
	tr.requests[3].Done = 0
	p := &player{traffic: []*traffic{tr}, history: []serviceSince{{0, &modes.Service{}}}}
	for _, c := range []struct {
		from, until      time.Duration
		due, sent, lacks int
	}{
		{0, second, 0, 0, 0},
		{second, 2 * second, 10, 8, 2},     // one is sent in the next phase, one never
		{2 * second, 4 * second, 11, 6, 5}, // the last one could still have been sent
	} {
		got := p.tally(c.from, c.until)
		if got.due != c.due || got.requests != c.sent || got.unsent != c.lacks {
			t.Errorf("from %s to %s: due %d, sent %d, unsent %d, want %+v", c.from, c.until, got.due, got.requests, got.unsent, c)
		}
	}
}

// TestPorts: ports that are used again and again are none of those that are to be fresh,
// however many requests there are, nor those of other traffic.
func TestPorts(t *testing.T) {
	seen := map[int]bool{}
	for n := range 200000 {
		seen[freshPort(n)] = true
	}
	for before := range 1000 {
		first := reusedPorts(before)
		if before < 50 && before > 0 && first < reusedPorts(before-1)+workers*portsEach {
			t.Fatalf("traffic %d reuses ports of the one before", before)
		}
		for port := first; port < first+workers*portsEach; port++ {
			if seen[port] || port > math.MaxUint16 {
				t.Fatalf("port %d, reused by traffic %d, is a fresh one, or none", port, before)
			}
		}
	}
}
