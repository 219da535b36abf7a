package workload

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// anywhere spawns without a namespace.
func anywhere(fn func()) error {
	go fn()
	return nil
}

// TestSteadyGoesOn: while one request is not answered, the other workers make all that are
// due.
func TestSteadyGoesOn(t *testing.T) {
	const total = 50
	var made atomic.Int64
	rest := make(chan struct{})
	requests, err := SteadyDo(t.Context(), 1000, Workers{2, 2}, total*time.Millisecond, anywhere, func(_, i int) error {
		if i > 0 {
			if made.Add(1) == total-1 {
				close(rest)
			}
			return nil
		}
		select {
		case <-rest:
			return nil
		case <-time.After(5 * time.Second):
			return errors.New("not all others were made meanwhile")
		}
	})
	if err != nil || len(requests) != total {
		t.Fatalf("%d requests, %v", len(requests), err)
	}
	for i, r := range requests {
		if r.Err != nil || r.Done == 0 || r.Sent < r.Intended {
			t.Errorf("request %d: %+v", i, r)
		}
	}
}

// TestSteadyWithoutAWorker: where a worker cannot be started, the others do not go through
// the schedule first.
func TestSteadyWithoutAWorker(t *testing.T) {
	refused := errors.New("no more threads")
	started := 0
	spawn := func(fn func()) error {
		if started++; started > 1 {
			return refused
		}
		return anywhere(fn)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := SteadyDo(ctx, 100, Workers{2, 2}, time.Minute, spawn, func(int, int) error { return nil })
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the error has not come within 5 s")
	}
}

// TestSteadyGrows: where requests are not answered there come more workers, so that all others
// go out in time, up to the most.
func TestSteadyGrows(t *testing.T) {
	const total = 40
	for most, late := range map[int]bool{total + 1: false, 5: true} {
		var sent atomic.Int64
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		requests, _ := SteadyDo(ctx, 100, Workers{2, most}, total*10*time.Millisecond, anywhere, func(_, i int) error {
			sent.Add(1)
			<-ctx.Done() // no answer
			return ctx.Err()
		})
		cancel()
		made := 0
		for _, r := range requests {
			if r.Done > 0 {
				made++
			}
		}
		if made != int(sent.Load()) || late && made != most || !late && made != total {
			t.Errorf("with at most %d workers %d of %d requests were made", most, made, total)
		}
	}
}

// TestSteadyEnds: after the context has ended nothing is sent, and nobody waits for what would
// have been due much later. The context ends in the first request, however late that is made,
// and the second one would be due after ten minutes.
func TestSteadyEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var made atomic.Int64
	start := time.Now()
	_, err := SteadyDo(ctx, 1./600, Workers{3, 3}, time.Hour, anywhere, func(int, int) error { made.Add(1); cancel(); return nil })
	if took := time.Since(start); !errors.Is(err, context.Canceled) || made.Load() != 1 || took > time.Minute {
		t.Errorf("%v after %s, %d requests were made", err, took, made.Load())
	}
}
