package play

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// rateBin is the time over which rates are counted.
const rateBin = 100 * time.Millisecond

// A connect between these was a SYN that was dropped and sent again.
const slowFrom, slowTo = 950 * time.Millisecond, 1500 * time.Millisecond

// tally is what came of the requests of one phase.
type tally struct {
	requests, failed int
	// due are those that were to be sent in the phase, unsent those of them that were not:
	// they were sent after it, or never.
	due, unsent int
	of          map[string]int // requests of which a quantity is true
	by          map[netip.Addr]int
	phase       phaseStart
	until       time.Duration
	traffic     []*traffic // that had requests in the phase
	latencies   []float64
	giveups     []float64
	failure     error // of the first that failed
	lingers     time.Duration
	answered    []time.Duration
	// last is the endpoint that a sender had last; of pairs of answers after each other, same
	// came from one endpoint.
	last        map[netip.Addr]netip.Addr
	pairs, same int
}

// report turns requests into quantities of phases, and into answers in 100 ms bins.
func (p *player) report() {
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
		if t.due+t.requests == 0 {
			continue
		}
		t.phase, t.until = ph, until
		t.record(p)
	}
	bins := make([]float64, int(end/rateBin)+1)
	newest := make([]float64, len(bins))
	for _, t := range p.traffic {
		for i, q := range t.requests {
			if q.Done == 0 || q.Err != nil || q.Done >= end {
				continue
			}
			bins[int(q.Done/rateBin)] += 1 / rateBin.Seconds()
			if p.added[t.answers[i].Endpoint] {
				newest[int(q.Done/rateBin)] += 1 / rateBin.Seconds()
			}
		}
	}
	p.Record(results.TPS, map[string]string{results.ScenarioName: p.script.Name, results.Of: "all"}, bins...)
	if len(p.added) > 0 {
		p.Record(results.TPS, map[string]string{results.ScenarioName: p.script.Name, results.Of: "newest"}, newest...)
	}
}

// tally counts the requests that were sent in a span of time. (Those that are due
// while all threads wait for answers go out later, and meet what is there then, if ever.)
func (p *player) tally(from, until time.Duration) tally {
	t := tally{by: map[netip.Addr]int{}, of: map[string]int{}, last: map[netip.Addr]netip.Addr{}}
	for _, one := range p.traffic {
		first, end := one.due(from, until)
		t.due += end - first
		for i := first; i < end; i++ {
			if !one.inTime(i, until) {
				t.unsent++
			}
		}
		for i, q := range one.requests {
			cut := errors.Is(q.Err, context.Canceled) // when the traffic stopped
			if q.Done == 0 || cut || q.Sent < from || q.Sent >= until {
				continue
			}
			t.add(p, q, one.answers[i], one.sender)
			if !slices.Contains(t.traffic, one) {
				t.traffic = append(t.traffic, one)
			}
		}
	}
	return t
}

func (t *tally) add(p *player, q workload.Request, a workload.Answer, sender netip.Addr) {
	t.requests++
	if q.Err != nil {
		t.failed++
		t.failure = cmp.Or(t.failure, q.Err)
		t.giveups = append(t.giveups, (q.Done - q.Sent).Seconds())
		return
	}
	from := a.Endpoint
	t.by[from]++
	if last, ok := t.last[sender]; ok {
		t.pairs++
		if last == from {
			t.same++
		}
	}
	t.last[sender] = from
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

// record records all quantities that the phase has.
func (t *tally) record(p *player) {
	p.phase(t.phase.name, sentName, float64(t.requests))
	p.phase(t.phase.name, dueName, float64(t.due))
	for _, q := range quantities() {
		if q.of == nil || p.Plan.TimeTravel && slices.Contains(costs(), q.name) || t.requests == 0 && q.name != unsentName {
			continue
		}
		if v, ok := q.of(p, t); ok {
			p.phase(t.phase.name, q.name, v)
		}
	}
	if t.unsent > 0 {
		p.write(fmt.Sprintf("# phase %s", t.phase.name), fmt.Sprintf("due %d, sent %d: nobody was free to send %d in time", t.due, t.requests, t.unsent))
	}
	if t.failure != nil {
		p.write(fmt.Sprintf("# phase %s", t.phase.name), fmt.Sprintf("%s failed, the first: %v", summary.Count(t.failed, "request"), t.failure))
	}
}

// serving are the endpoints of a Service that may answer the phase's requests.
func (t *tally) serving(svc *modes.Service) (out []modes.Endpoint) {
	may := map[netip.Addr]bool{}
	for _, one := range t.traffic {
		for _, ep := range one.serving(svc) {
			may[ep.Addr] = true
		}
	}
	for _, ep := range svc.Endpoints {
		if may[ep.Addr] {
			out = append(out, ep)
		}
	}
	return out
}

// isLocal tells whether an address is an endpoint of the Service on the node.
func isLocal(svc *modes.Service, a netip.Addr) bool {
	i := svc.Index(a)
	return i >= 0 && svc.Endpoints[i].Local
}
