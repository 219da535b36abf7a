package measure

import (
	"context"
	"fmt"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
)

// Append times one object more on top of what is there, by the shortest way that the
// mode's kernel interface has. A mode that can write by one call an object, and does not
// with the trial's arguments, has another way for that.
func Append() trial.Measurement {
	return trial.Measurement{
		Name: "one object more",
		Wanted: func(st *trial.Stage) bool {
			p := modes.PartFor(st.Proxier, modes.IPv4)
			_, can := p.(modes.Appender)
			steps, other := p.(modes.Stepwise)
			return can && (!other || steps.Steps())
		},
		Run: appendOne,
	}
}

// One object more is timed appends times at most, for appendFor or until it has been timed
// appendsQuick times. Where that takes longer than dearSync in all, once is enough: rounds
// repeat it.
const (
	appends      = 15
	appendsQuick = 3
	appendFor    = 50 * time.Millisecond
)

func appendOne(ctx context.Context, st *trial.Stage) error {
	a, ok := modes.PartFor(st.Proxier, modes.IPv4).(modes.Appender)
	if !ok {
		return fmt.Errorf("mode %s has no way to append one object", st.Mode)
	}
	var took []float64
	err := st.Net.Node.Do(func() error {
		for begun := time.Now(); more(len(took), time.Since(begun)); {
			start := time.Now()
			undo, err := a.Append(ctx)
			if err != nil {
				return err
			}
			took = append(took, time.Since(start).Seconds())
			if err := undo(); err != nil {
				return fmt.Errorf("take it away again: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("append one object: %w", err)
	}
	st.Record(results.RuleAppend, nil, took...)
	return nil
}

// more tells whether to go on after so many, which took so long together.
func more(n int, took time.Duration) bool {
	return n == 0 || n < appendsQuick && took < dearSync || n < appends && took < appendFor
}
