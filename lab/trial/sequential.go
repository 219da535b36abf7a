package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"viplab/modes"
	"viplab/results"
)

// stepwise is a Proxier that writes one call an object as it is set up, nil if it does
// not.
func stepwise(p modes.Proxier) modes.Stepwise {
	if s, ok := modes.PartFor(p, modes.IPv4).(modes.Stepwise); ok && s.Steps() {
		return s
	}
	return nil
}

// sequential is a trial of a mode that writes by one call an object: all of them within
// a time budget; then, on top of objects that were put there in one go, single changes
// by single calls.
func (r *run) sequential(ctx context.Context) error {
	if err := r.setUp(ctx); err != nil {
		return errors.Join(err, r.tearDown())
	}
	err := r.install(ctx)
	// What a budget cut off is in no state to be closed: it goes with its
	// namespace.
	r.mode = nil
	if err = errors.Join(err, r.tearDown()); err != nil {
		return err
	}
	if err := r.setUp(ctx); err != nil {
		return errors.Join(err, r.tearDown())
	}
	steps := stepwise(r.mode)
	steps.SetSteps(false)
	r.step("program %d services in one go", r.Synth.Services)
	if _, err := r.sync(ctx, r.snap); err != nil {
		return errors.Join(fmt.Errorf("full sync: %w", err), r.tearDown())
	}
	if err := r.validate(true); err != nil {
		return errors.Join(fmt.Errorf("forwarding is not right, so nothing is timed: %w", err), r.tearDown())
	}
	steps.SetSteps(true)
	if err = r.appendOne(ctx); err == nil {
		err = r.deltas(ctx)
	}
	return errors.Join(err, r.tearDown())
}

// install times the sequential installation. Cut off by its budget it is a
// censored sample, with how far it came.
func (r *run) install(ctx context.Context) error {
	if r.Plan.Install <= 0 {
		return nil
	}
	r.step("install one rule a call, for at most %s", r.Plan.Install)
	inner, cancel := context.WithTimeout(ctx, r.Plan.Install)
	defer cancel()
	s, err := r.sync(inner, r.snap)
	over := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if err != nil && !over {
		return fmt.Errorf("install one rule a call: %w", err)
	}
	if over {
		r.censored(results.InstallSequential, nil, s.took)
	} else {
		r.record(results.InstallSequential, nil, s.took.Seconds())
	}
	r.record(results.Objects, map[string]string{results.Of: "rules installed"}, float64(s.cost.Rules))
	return nil
}

// appends is how often one object more is timed; appendFor bounds how long that takes
// where it is quick.
const (
	appends   = 3
	appendFor = 50 * time.Millisecond
)

// appendOne times one object more on top of what is there, by the shortest way that the
// mode's kernel interface has. A mode that can write by one call an object, and does
// not here, has another way for that.
func (r *run) appendOne(ctx context.Context) error {
	part := modes.PartFor(r.mode, modes.IPv4)
	a, ok := part.(modes.Appender)
	if s, can := part.(modes.Stepwise); !ok || can && !s.Steps() {
		return nil
	}
	var took []float64
	err := r.net.Node.Do(func() error {
		for begun := time.Now(); len(took) < appends || len(took) < 5*appends && time.Since(begun) < appendFor; {
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
	r.record(results.RuleAppend, nil, took...)
	return nil
}
