package summary

import (
	"fmt"

	"github.com/montanaflynn/stats"
	"golang.org/x/perf/benchmath"

	"viplab/results"
)

// Bounds of the judgement of warm-up.
const (
	leastToJudge = 20   // samples of one trial
	warmExcess   = 0.02 // share by which the first quarter may exceed the rest
)

// Warmup judges whether what was measured first still differs from the rest: for
// each trial's packets, the median of the first quarter over that of the rest. It
// is empty if there is nothing to judge by.
func Warmup(records []results.Record) string {
	var ratios []float64
	for _, r := range records {
		if len(r.Values) < leastToJudge || r.Metric != results.FirstPacket && r.Metric != results.NodeSend && r.Metric != results.EstablishedPacket {
			continue
		}
		k := len(r.Values) / 4
		early, err1 := stats.Median(r.Values[:k])
		late, err2 := stats.Median(r.Values[k:])
		if err1 == nil && err2 == nil && late > 0 {
			ratios = append(ratios, early/late)
		}
	}
	if len(ratios) < leastToJudge {
		return ""
	}
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(ratios, &benchmath.DefaultThresholds), Confidence)
	verdict := "the warm-up was long enough"
	if s.Lo > 1+warmExcess {
		verdict = "the warm-up was too short"
	}
	return fmt.Sprintf("Warm-up, judged by %d series of packets: the first quarter of a series took %+.1f %% [%+.1f, %+.1f] against the rest: %s.",
		len(ratios), 100*(s.Center-1), 100*(s.Lo-1), 100*(s.Hi-1), verdict)
}
