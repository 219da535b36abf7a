package measure

import (
	"testing"
	"time"
)

// TestBounded is the schedule of kube-proxy's runner, as rows: when a run ended,
// when the next is asked for, when it may start.
func TestBounded(t *testing.T) {
	b := bounded{min: time.Second}
	if got := b.next(5 * time.Second); got != 5*time.Second {
		t.Errorf("the first run waits until %s", got)
	}
	b.done(10 * time.Second)
	for now, want := range map[time.Duration]time.Duration{
		10 * time.Second: 11 * time.Second, 10500 * time.Millisecond: 11 * time.Second, 11 * time.Second: 11 * time.Second, 20 * time.Second: 20 * time.Second,
	} {
		if got := b.next(now); got != want {
			t.Errorf("asked at %s: %s, want %s", now, got, want)
		}
	}
	p := pacer{rate: 4}
	if p.at(0) != 0 || p.at(1) != 250*time.Millisecond || p.at(8) != 2*time.Second {
		t.Errorf("paced at %s, %s, %s", p.at(0), p.at(1), p.at(8))
	}
}
