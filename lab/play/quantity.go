package play

import (
	"slices"
	"time"

	"github.com/montanaflynn/stats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"viplab/modes"
)

// quantity is something that can be expected of a phase.
type quantity struct {
	name string
	// unit is empty for shares and ratios.
	unit    string
	meaning string
	// of works it out from the requests of a phase; ok is false where there is nothing
	// to it. It is nil for what a step records itself.
	of func(*player, *tally) (v float64, ok bool)
}

// Counts of a phase's requests beside the quantities: those that were sent in it, and those
// that were due.
const sentName, dueName = "requests", "due"

// unsentName is the share of them that were due and not sent. Where there are none, tables
// leave both out.
const unsentName = "unsent"

// quantities lists them, in the order of tables.
func quantities() []quantity {
	return []quantity{
		{unsentName, "", "share of the requests due in the phase that were not sent in it: nobody was free to",
			func(_ *player, t *tally) (float64, bool) { return float64(t.unsent) / float64(t.due), t.due > 0 }},
		{"failed", "", "share of the requests that were not answered", func(_ *player, t *tally) (float64, bool) { return t.share(t.failed), true }},
		share("stale", "share of the requests answered by an endpoint that was removed before they were sent"),
		share("drained", "share of the requests answered by an endpoint that was quiesced before they were sent"),
		share("local", "share of the requests answered by an endpoint on the node"),
		share("masqueraded", "share of the requests whose endpoint saw another source than the sender's address"),
		share("newest", "share of the requests answered by endpoints that were added"),
		{"sticky", "", "share of the requests that the endpoint of the request before answered, of the same sender",
			func(_ *player, t *tally) (float64, bool) { return t.sticky() }},
		{"even", "", "chance of so uneven a choice among the endpoints that may serve at the phase's end, if all were alike (chi-square)",
			func(p *player, t *tally) (float64, bool) { return t.even(t.serving(p.serviceAt(t.until))) }},
		{"lingers", "s", "time from an endpoint's removal until the last answer by it",
			func(p *player, t *tally) (float64, bool) { return t.lingers.Seconds(), len(p.gone) > 0 }},
		{"busiest", "", "share of the busiest endpoint over the mean of those that may serve", busiest},
		{"p50", "s", "median time of a request", func(_ *player, t *tally) (float64, bool) { return percentile(t.latencies, 50) }},
		{"p99", "s", "time that one request in a hundred exceeds", func(_ *player, t *tally) (float64, bool) { return percentile(t.latencies, 99) }},
		{"stall", "s", "longest time without an answer", func(_ *player, t *tally) (float64, bool) { return t.stall().Seconds(), true }},
		{"giveup", "s", "median time until a request failed", func(_ *player, t *tally) (float64, bool) { return percentile(t.giveups, 50) }},
		share("slow", "share of the requests that took near one second: a lost SYN"),
		{"refused", "", "share of a second writer's calls that were refused", nil},
		{"writer", "s", "median time of a second writer's call", nil},
		{"lost", "", "share of another writer's rules that are gone", nil},
		{"kept", "", "share of the connections kept open that still answer (phase end)", nil},
	}
}

// recorder is the step that records a quantity, empty for what traffic tells.
func recorder(quantity string) string {
	return map[string]string{"refused": "append", "writer": "append", "lost": "overlap", "kept": "keep"}[quantity]
}

// costs are the quantities that are not known where computing takes no time.
func costs() []string { return []string{"p50", "p99"} }

// share is the share of a phase's requests of which something is true.
func share(name, meaning string) quantity {
	return quantity{name, "", meaning, func(_ *player, t *tally) (float64, bool) { return t.share(t.of[name]), true }}
}

func (t *tally) share(n int) float64 { return float64(n) / float64(t.requests) }

// Quantities lists the names of what can be expected of a phase.
func Quantities() (out []string) {
	for _, q := range quantities() {
		out = append(out, q.name)
	}
	return out
}

func percentile(values []float64, p float64) (float64, bool) {
	v, err := stats.PercentileNearestRank(values, p)
	return v, err == nil
}

// sticky is the share of answers that came from the endpoint of the answer before, to the
// same sender; ok is false if no sender had two.
func (t *tally) sticky() (share float64, ok bool) {
	if t.pairs == 0 {
		return 0, false
	}
	return float64(t.same) / float64(t.pairs), true
}

func busiest(p *player, t *tally) (float64, bool) {
	most := 0
	for _, n := range t.by {
		most = max(most, n)
	}
	answered := t.requests - t.failed
	if answered == 0 {
		return 0, false
	}
	return float64(most) * float64(max(len(t.by), len(t.serving(p.serviceAt(t.phase.at))))) / float64(answered), true
}

// stall is the longest time of the phase without an answer.
func (t *tally) stall() (longest time.Duration) {
	slices.Sort(t.answered)
	last := t.phase.at
	for _, at := range append(t.answered, t.until) {
		longest, last = max(longest, at-last), at
	}
	return longest
}

// leastChance is the chance below which there is none: how small it is no test tells.
const leastChance = 1e-12

// even is the chance of a choice as uneven as this one among some endpoints, if each were as likely as the others; ok is false if there are too few answers for a
// chi-square test (five an endpoint).
func (t *tally) even(among []modes.Endpoint) (chance float64, ok bool) {
	n := len(among)
	if n < 2 {
		return 0, false
	}
	seen, want := make([]float64, n), make([]float64, n)
	sum := 0.
	for i, ep := range among {
		seen[i] = float64(t.by[ep.Addr])
		sum += seen[i]
	}
	if sum < 5*float64(n) {
		return 0, false
	}
	for i := range want {
		want[i] = sum / float64(n)
	}
	if chance = (distuv.ChiSquared{K: float64(n - 1)}).Survival(stat.ChiSquare(seen, want)); chance < leastChance {
		chance = 0
	}
	return chance, true
}
