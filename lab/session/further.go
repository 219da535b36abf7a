package session

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"viplab/analysis/summary"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
)

// Bounds of the further rounds that a run with a Precision adds where its intervals are
// wide: it has at most mostRounds times as many rounds as asked for, and takes at most
// mostTime of the time of those longer. Ending a cell when its interval is narrow makes
// intervals cover the truth a little less often; with these bounds that stays at 95 %, see
// the tests.
const (
	mostRounds = 2
	mostTime   = 0.1
)

// aspect is one of the figures that readers take away, by which it is decided whether
// something is to be measured again.
type aspect struct {
	metric string
	at     map[string]string
	// step is that of a trial in which it is measured, and keep takes it over into a plan
	// that measures nothing.
	step string
	keep func(into *trial.Plan, whole trial.Plan)
}

// aspects lists them.
func aspects() []aspect {
	packets := func(into *trial.Plan, p trial.Plan) { into.Packets, into.Warmup = p.Packets, p.Warmup }
	iperf := func(into *trial.Plan, p trial.Plan) { into.Iperf = p.Iperf }
	first := func(position string) map[string]string {
		return map[string]string{results.Position: position, results.Protocol: string(modes.TCP)}
	}
	at := func(position string) map[string]string { return map[string]string{results.Position: position} }
	return []aspect{
		{results.SyncFull, nil, "", func(into *trial.Plan, p trial.Plan) { into.FullSyncs = p.FullSyncs }},
		{results.SyncDelta, map[string]string{results.Change: modes.ServiceAdd}, "deltas", func(into *trial.Plan, p trial.Plan) { into.Deltas = p.Deltas }},
		{results.FirstPacket, first(trial.First), "first packets", packets},
		{results.FirstPacket, first(trial.Last), "first packets", packets},
		{results.ConnectionsRate, nil, "connections", func(into *trial.Plan, p trial.Plan) { into.Connect, into.Workers = p.Connect, p.Workers }},
		{results.Throughput, at(trial.First), "iperf", iperf},
		{results.Throughput, at(trial.Last), "iperf", iperf},
	}
}

// wide is an aspect of a trial whose interval is too wide.
type wide struct {
	trial int // of the round's
	aspect
	width float64 // half of the interval over the median
}

// further lists the trials of one more round: of what has been measured in too few rounds
// for its interval to be within the Precision, the widest first, as far as the time goes
// that is left. There are none if the intervals are narrow.
func (s *Session) further(run *results.Run, round int) ([]trial.Spec, error) {
	sum, err := summary.Make(run.Records)
	if err != nil {
		return nil, err
	}
	all, err := s.round(s.Modes, round, rand.New(rand.NewPCG(s.Seed, uint64(round))))
	if err != nil {
		return nil, err
	}
	var found []wide
	for i, t := range all {
		found = append(found, s.wide(sum, i, t)...)
	}
	slices.SortStableFunc(found, func(a, b wide) int { return cmp.Compare(b.width, a.width) })
	return choose(all, found, newSpending(sum), s.timeLeft(run)), nil
}

// wide lists what of a trial is to be measured again.
func (s *Session) wide(sum *summary.Summary, i int, t trial.Spec) (out []wide) {
	for _, a := range aspects() {
		for _, c := range sum.Cells {
			if c.Metric != a.metric || c.Services() != t.Synth.Services || !maps.Equal(c.Variant, t.Variant()) || !within(a.at, c.Factors) || c.Over || c.Median <= 0 {
				continue
			}
			width := math.Inf(1)
			if c.Interval {
				width = (c.Hi - c.Lo) / 2 / c.Median
			}
			if width > float64(s.Precision) {
				out = append(out, wide{i, a, width})
			}
		}
	}
	return out
}

func within(some, all map[string]string) bool {
	for k, v := range some {
		if all[k] != v {
			return false
		}
	}
	return true
}

// choose makes trials of what is wide as long as the time is enough.
func choose(all []trial.Spec, found []wide, costs spending, left time.Duration) []trial.Spec {
	plans := map[int]trial.Plan{}
	steps := map[string]bool{}
	for _, w := range found {
		t := all[w.trial]
		plan, begun := plans[w.trial]
		if !begun {
			plan = trial.Plan{FullSyncs: 1, SyncLimit: t.Plan.SyncLimit}
		}
		var cost time.Duration
		step := fmt.Sprint(w.trial, w.step)
		if !begun {
			cost += costs.base(t)
		}
		if !steps[step] {
			cost += costs.of(t, w.step)
		}
		if cost > left {
			continue
		}
		left, steps[step] = left-cost, true
		w.keep(&plan, t.Plan)
		plans[w.trial] = plan
	}
	var out []trial.Spec
	for i, t := range all {
		if p, ok := plans[i]; ok {
			t.Plan = p
			out = append(out, t)
		}
	}
	return out
}

// timeLeft is how long further rounds may still take, of what the rounds that were asked
// for took.
func (s *Session) timeLeft(run *results.Run) time.Duration {
	var asked, more float64
	for _, r := range run.Records {
		switch {
		case r.Metric != results.TrialSeconds || r.Factors[results.Step] != "":
		case r.Round < s.Repeat:
			asked += r.Values[0]
		default:
			more += r.Values[0]
		}
	}
	return time.Duration((mostTime*asked - more) * float64(time.Second))
}

// spending is what steps of trials took, by variant, size and step.
type spending map[string]time.Duration

func newSpending(sum *summary.Summary) spending {
	out := spending{}
	for _, c := range sum.Cells {
		if c.Metric == results.TrialSeconds {
			out[c.Variant.Key()+" "+c.Factors[results.Services]+" "+c.Factors[results.Step]] = time.Duration(c.Median * float64(time.Second))
		}
	}
	return out
}

func (s spending) of(t trial.Spec, step string) time.Duration {
	if step == "" {
		return 0
	}
	return s[t.Variant().Key()+" "+strconv.Itoa(t.Synth.Services)+" "+step]
}

// base is what a trial takes that measures nothing.
func (s spending) base(t trial.Spec) (sum time.Duration) {
	for _, step := range trial.FixedSteps() {
		sum += s.of(t, step)
	}
	return sum
}

// runFurther adds rounds to a run whose rounds are done, until its intervals are narrow or
// one of the bounds is reached.
func (s *Session) runFurther(ctx context.Context, runner *Runner, out Outcome, deadline time.Time) (Outcome, error) {
	for round := s.Repeat; s.Precision > 0 && round < mostRounds*s.Repeat && !out.OutOfTime; round++ {
		run, err := results.Open(s.Dir)
		if err != nil {
			return out, fmt.Errorf("look at what was measured: %w", err)
		}
		trials, err := s.further(run, round)
		if err != nil {
			return out, err
		}
		trials = slices.DeleteFunc(trials, func(t trial.Spec) bool { return s.finished[t.ID] })
		if len(trials) == 0 {
			return out, nil
		}
		left := time.Duration(0)
		if s.MaxTime > 0 {
			if left = time.Until(deadline); left <= 0 {
				out.OutOfTime = true
				return out, nil
			}
		}
		fmt.Fprintf(s.Log, "round %d, of what is not known to within %s yet\n", round+1, s.Precision)
		if out, err = runner.Run(ctx, trials, left); err != nil {
			return out, err
		}
	}
	return out, nil
}
