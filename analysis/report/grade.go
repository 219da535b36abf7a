package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/montanaflynn/stats"

	"viplab/analysis/summary"
	"viplab/results"
)

// Bounds of the grades: how far the baseline's first packet, and the machine's own speed,
// may stray between rounds, as a share of their median.
const (
	quiet = 0.05
	fair  = 0.15
	// stolen is the share of a round's CPU time that, taken by the
	// hypervisor for others, makes a run noisy whatever the baseline says.
	stolen = 0.05
)

// grade judges how quiet the machine was, by what should be the same in every round: the
// loops of the machine's own speed, and the first packet of the baseline. It is the largest
// deviation of a round from the median round: of the loop that strayed farthest, or the
// median over the baseline's cells (sizes, families ...), whichever is larger.
func grade(run *results.Run, s *summary.Summary) string {
	var strays []float64
	rounds := 0
	for _, c := range s.Select(results.FirstPacket, summary.With(nil, results.Mode, run.Baseline(),
		results.Position, "first", results.Protocol, "tcp", results.From, "client")) {
		if len(c.Trials) < 2 {
			continue
		}
		rounds = max(rounds, len(c.Trials))
		var each []float64
		for _, m := range c.Trials {
			each = append(each, m)
		}
		mid, err := stats.Median(each)
		if err != nil || mid <= 0 {
			continue
		}
		strays = append(strays, max(slices.Max(each)/mid-1, 1-slices.Min(each)/mid))
	}
	if len(strays) == 0 {
		return fmt.Sprintf("Grade of the run: none, since mode %s, which should not change between rounds, was not "+
			"measured in two of them.", run.Baseline())
	}
	base, err := stats.Median(strays)
	if err != nil || math.IsNaN(base) {
		return ""
	}
	loop, own := strayLoop(s)
	stray := max(base, own)
	name, meaning := "C", "noisy: believe only large differences"
	switch {
	case stray <= quiet:
		name, meaning = "A", "quiet"
	case stray <= fair:
		name, meaning = "B", "fair"
	}
	if steal := most(s, results.HostSteal); steal > stolen {
		name, meaning = "C", fmt.Sprintf("noisy: %.1f %% of the CPU time of a round was taken by other machines", 100*steal)
	}
	fixed := ""
	if loop != "" {
		fixed = fmt.Sprintf("fixed loops of the lab's own by up to %.1f %% (%s); ", 100*own, loop)
	}
	return fmt.Sprintf("Grade of the run: %s, %s. The baseline (first packet of %s), which should not change, strayed "+
		"by %.1f %% between %d rounds; %sload at start %.2f, at most %.2f after a round; CPU time taken by other machines "+
		"at most %.1f %%.",
		name, meaning, run.Baseline(), 100*base, rounds, fixed, run.Env.LoadAtStart, most(s, results.HostLoad), 100*most(s, results.HostSteal))
}

// most is the largest sample of a metric, 0 if there is none.
func most(s *summary.Summary, metric string) (v float64) {
	for _, c := range s.Select(metric, nil) {
		v = max(v, slices.Max(c.Values))
	}
	return v
}
