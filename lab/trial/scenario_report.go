package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/montanaflynn/stats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// tally is what came of the requests of one phase.
type tally struct {
	requests, failed int
	of               map[string]int // requests of which a quantity is true
	by               map[netip.Addr]int
	latencies        []float64
	giveups          []float64
	failure          error // of the first that failed
	lingers          time.Duration
	answered         []time.Duration
}

// report turns requests into quantities of phases, and into answers in 100 ms bins.
func (p *play) report() {
	if len(p.traffic) == 0 {
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
	newest := make([]float64, len(bins))
	for _, t := range p.traffic {
		for i, q := range t.requests {
			if q.Done == 0 || q.Err != nil || q.Done >= end {
				continue
			}
			bins[int(q.Done/liveBin)] += 1 / liveBin.Seconds()
			if p.added[t.answers[i].Endpoint] {
				newest[int(q.Done/liveBin)] += 1 / liveBin.Seconds()
			}
		}
	}
	p.record(results.TPS, map[string]string{results.ScenarioName: p.Plan.Script.Name, results.Of: "all"}, bins...)
	if len(p.added) > 0 {
		p.record(results.TPS, map[string]string{results.ScenarioName: p.Plan.Script.Name, results.Of: "newest"}, newest...)
	}
}

// tally counts the requests that were sent in a span of time. (Those that are due
// while all threads wait for answers go out later, and meet what is there then.)
func (p *play) tally(from, until time.Duration) tally {
	t := tally{by: map[netip.Addr]int{}, of: map[string]int{}}
	for _, one := range p.traffic {
		for i, q := range one.requests {
			cut := errors.Is(q.Err, context.Canceled) // when the traffic stopped
			if q.Done == 0 || cut || q.Sent < from || q.Sent >= until {
				continue
			}
			t.add(p, q, one.answers[i], one.sender)
		}
	}
	return t
}

func (t *tally) add(p *play, q workload.Request, a workload.Answer, sender netip.Addr) {
	t.requests++
	if q.Err != nil {
		t.failed++
		t.failure = cmp.Or(t.failure, q.Err)
		t.giveups = append(t.giveups, (q.Done - q.Sent).Seconds())
		return
	}
	from := a.Endpoint
	t.by[from]++
	t.latencies = append(t.latencies, q.Latency().Seconds())
	t.answered = append(t.answered, q.Done)
	took := q.Done - q.Sent
	removed, isGone := p.gone[from]
	if isGone {
		t.lingers = max(t.lingers, q.Done-removed)
	}
	quiesced, isQuiet := p.quiet[from]
	for name, is := range map[string]bool{
		"slow": took >= slowFrom && took <= slowTo, "newest": p.added[from], "stale": isGone && q.Sent > removed,
		"drained": isQuiet && q.Sent > quiesced && !(isGone && q.Sent > removed), "masqueraded": a.Source != sender,
		"local": isLocal(p.serviceAt(q.Sent), from),
	} {
		if is {
			t.of[name]++
		}
	}
}

func (t *tally) record(p *play, ph phaseStart, until time.Duration) {
	share := func(n int) float64 { return float64(n) / float64(t.requests) }
	p.phase(ph.name, "requests", float64(t.requests))
	p.phase(ph.name, "failed", share(t.failed))
	for _, name := range []string{"stale", "drained", "local", "masqueraded", "newest", "slow"} {
		p.phase(ph.name, name, share(t.of[name]))
	}
	most := 0
	for _, n := range t.by {
		most = max(most, n)
	}
	if t.requests > t.failed {
		p.phase(ph.name, "busiest", float64(most)*float64(max(len(t.by), len(p.serviceAt(ph.at).Endpoints)))/float64(t.requests-t.failed))
	}
	for name, percent := range map[string]float64{"p50": 50, "p99": 99} {
		if v, err := stats.PercentileNearestRank(t.latencies, percent); err == nil {
			p.phase(ph.name, name, v)
		}
	}
	if t.failure != nil {
		p.write(fmt.Sprintf("# phase %s", ph.name), fmt.Sprintf("%d requests failed, the first: %v", t.failed, t.failure))
	}
	if v, ok := t.even(p.serviceAt(until)); ok {
		p.phase(ph.name, "even", v)
	}
	if len(p.gone) > 0 {
		p.phase(ph.name, "lingers", t.lingers.Seconds())
	}
	if v, err := stats.Median(t.giveups); err == nil {
		p.phase(ph.name, "giveup", v)
	}
	slices.Sort(t.answered)
	last, stall := ph.at, time.Duration(0)
	for _, at := range append(t.answered, until) {
		stall, last = max(stall, at-last), at
	}
	p.phase(ph.name, "stall", stall.Seconds())
}

// even is the chance of a choice as uneven as this one among the endpoints of a Service,
// if each were as likely as the others; ok is false if there are too few answers for a
// chi-square test (five an endpoint).
func (t *tally) even(svc *modes.Service) (chance float64, ok bool) {
	n := len(svc.Endpoints)
	if n < 2 {
		return 0, false
	}
	seen, want := make([]float64, n), make([]float64, n)
	sum := 0.
	for i, ep := range svc.Endpoints {
		seen[i] = float64(t.by[ep.Addr])
		sum += seen[i]
	}
	if sum < 5*float64(n) {
		return 0, false
	}
	for i := range want {
		want[i] = sum / float64(n)
	}
	return distuv.ChiSquared{K: float64(n - 1)}.Survival(stat.ChiSquare(seen, want)), true
}

// isLocal tells whether an address is an endpoint of the Service on the node.
func isLocal(svc *modes.Service, a netip.Addr) bool {
	i := svc.Index(a)
	return i >= 0 && svc.Endpoints[i].Local
}
