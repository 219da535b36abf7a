package trial

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/montanaflynn/stats"

	"viplab/results"
	"viplab/workload"
)

// tally is what came of the requests of one phase.
type tally struct {
	requests, failed, stale, newest, slow int
	by                                    map[netip.Addr]int
	latencies                             []float64
	answered                              []time.Duration
}

// report turns requests into quantities of phases, and into answers in 100 ms bins.
func (p *play) report() {
	if p.finished == nil {
		return
	}
	end := p.since()
	for i, ph := range p.phases {
		until := end
		if i+1 < len(p.phases) {
			until = p.phases[i+1].at
		}
		t := p.tally(ph.at, until)
		if t.requests == 0 {
			continue
		}
		t.record(p, ph, until)
	}
	bins := make([]float64, int(end/liveBin)+1)
	for i, q := range p.requests {
		if q.Done > 0 && q.Err == nil && p.answers[i].IsValid() && q.Done < end {
			bins[int(q.Done/liveBin)] += 1 / liveBin.Seconds()
		}
	}
	p.record(results.TPS, map[string]string{results.ScenarioName: p.Plan.Script.Name}, bins...)
}

// tally counts the requests that were sent in a span of time. (Those that are due
// while all threads wait for answers go out later, and meet what is there then.)
func (p *play) tally(from, until time.Duration) tally {
	t := tally{by: map[netip.Addr]int{}}
	for i, q := range p.requests {
		cut := errors.Is(q.Err, context.Canceled) // when the traffic stopped
		if q.Done == 0 || cut || q.Sent < from || q.Sent >= until {
			continue
		}
		t.add(p, q, p.answers[i])
	}
	return t
}

func (t *tally) add(p *play, q workload.Request, from netip.Addr) {
	t.requests++
	if q.Err != nil {
		t.failed++
		return
	}
	t.by[from]++
	t.latencies = append(t.latencies, q.Latency().Seconds())
	t.answered = append(t.answered, q.Done)
	if took := q.Done - q.Sent; took >= slowFrom && took <= slowTo {
		t.slow++
	}
	if p.added[from] {
		t.newest++
	}
	if since, ok := p.gone[from]; ok && q.Sent > since {
		t.stale++
	}
}

func (t *tally) record(p *play, ph phaseStart, until time.Duration) {
	share := func(n int) float64 { return float64(n) / float64(t.requests) }
	p.phase(ph.name, "requests", float64(t.requests))
	p.phase(ph.name, "failed", share(t.failed))
	p.phase(ph.name, "stale", share(t.stale))
	p.phase(ph.name, "newest", share(t.newest))
	p.phase(ph.name, "slow", share(t.slow))
	most := 0
	for _, n := range t.by {
		most = max(most, n)
	}
	if t.requests > t.failed {
		p.phase(ph.name, "busiest", float64(most)*float64(max(len(t.by), ph.endpoints))/float64(t.requests-t.failed))
	}
	if v, err := stats.PercentileNearestRank(t.latencies, 99); err == nil {
		p.phase(ph.name, "p99", v)
	}
	slices.Sort(t.answered)
	last, stall := ph.at, time.Duration(0)
	for _, at := range append(t.answered, until) {
		stall, last = max(stall, at-last), at
	}
	p.phase(ph.name, "stall", stall.Seconds())
}
