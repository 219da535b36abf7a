package session

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"viplab/analysis/summary"
	"viplab/modes/catalog"
	"viplab/results"
)

// TestIntervalsOfFurtherRounds: a cell that ends when its interval is narrow, or after the
// most rounds, has an interval that still covers the truth as often as it says.
func TestIntervalsOfFurtherRounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const cells, asked, precision = 4000, 6, 0.05
	for _, noise := range []float64{0.01, 0.03, 0.05, 0.1, 0.2} {
		covered := 0
		for range cells {
			var records []results.Record
			var c *summary.Cell
			for round := 0; round < mostRounds*asked; round++ {
				m := math.Exp(noise * rng.NormFloat64())
				records = append(records, results.Record{Metric: results.FirstPacket, Round: round, Values: []float64{m, m}})
				if round < asked-1 {
					continue
				}
				s, err := summary.Make(records)
				if err != nil {
					t.Fatal(err)
				}
				if c = s.Cells[0]; (c.Hi-c.Lo)/2 <= precision*c.Median {
					break
				}
			}
			if c.Lo <= 1 && 1 <= c.Hi {
				covered++
			}
		}
		// Half a percent less than asked for is what ending early costs at most.
		if share := float64(covered) / cells; share < 0.935 {
			t.Errorf("noise %g: %.3f of the intervals cover the truth", noise, share)
		}
	}
}

// measured is a run of six rounds in which first packets of iptables at 1000 Services stray
// by some share, and everything else does not.
func measured(t *testing.T, s *Session, stray float64, seconds float64) *results.Run {
	t.Helper()
	run := &results.Run{}
	trials, err := s.Trials(s.Modes)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range trials {
		for _, a := range aspects() {
			v := 1.0
			if a.metric == results.FirstPacket && tr.Mode == "iptables" && tr.Synth.Services == 1000 {
				v += stray * (float64(tr.Round)/5 - 0.5)
			}
			rec := tr.NewRecord(a.metric, a.at)
			rec.Values = []float64{v, v}
			run.Records = append(run.Records, rec)
		}
		whole := tr.NewRecord(results.TrialSeconds, nil)
		whole.Values = []float64{seconds}
		run.Records = append(run.Records, whole)
		for _, step := range []string{"set up", "first packets", "iperf"} {
			part := tr.NewRecord(results.TrialSeconds, map[string]string{results.Step: step})
			part.Values = []float64{seconds / 4}
			run.Records = append(run.Records, part)
		}
	}
	return run
}

// TestFurther: what is wide is measured again, alone, as long as there is time.
func TestFurther(t *testing.T) {
	s := &Session{Config: Default(catalog.All()), Modes: catalog.All()}
	s.Services, s.Config.Modes, s.Testbed, s.Precision = []int{1, 1000}, []string{"direct", "iptables"}, "native", 0.05
	again := func(stray, seconds float64) (ids []string) {
		trials, err := s.further(measured(t, s, stray, seconds), s.Repeat)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range trials {
			if p := tr.Plan; p.Packets == 0 || p.Iperf != 0 || p.Connect != 0 || p.Deltas != 0 || p.FullSyncs != 1 {
				t.Errorf("%s measures %+v", tr.ID, p)
			}
			ids = append(ids, tr.ID)
		}
		return ids
	}
	if got := again(0.3, 1); !slices.Equal(got, []string{"iptables-n1000-r6"}) {
		t.Errorf("measured again: %v", got)
	}
	if got := again(0.05, 1); len(got) != 0 {
		t.Errorf("measured again although all is narrow: %v", got)
	}
	run := measured(t, s, 0.3, 1)
	for i := range run.Records { // a trial that takes longer than all that is left
		if r := &run.Records[i]; r.Metric == results.TrialSeconds && r.Factors[results.Step] == "first packets" {
			r.Values = []float64{100}
		}
	}
	if trials, err := s.further(run, s.Repeat); err != nil || len(trials) != 0 {
		t.Errorf("measured again without the time for it: %d, %v", len(trials), err)
	}
	if left := s.timeLeft(measured(t, s, 0, 2)); left != 4800*time.Millisecond { // of 24 trials
		t.Errorf("time left: %s", left)
	}
}
