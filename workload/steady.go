package workload

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Request is one request of a steady client.
type Request struct {
	// Intended is when the schedule wanted it sent, Sent when it was, Done when
	// it was answered or failed, all from the start. Latency counts from Intended, so that a
	// request which had to wait for the one before is late, not left out.
	Intended, Sent, Done time.Duration
	Err                  error
}

// Latency is how long the client waited, from the intended time.
func (r Request) Latency() time.Duration { return r.Done - r.Intended }

// Workers is how many threads make requests: so many from the start, and as many as it takes
// up to the most.
type Workers struct{ From, Most int }

// Steady opens new connections at a fixed rate, whether the ones before are
// answered or not (open loop): request i is meant for i/rate seconds after the
// start. The workers share the schedule, and whoever is free takes the next request; with
// the most of them waiting for answers, requests go out late. spawn is as for [Connect].
func Steady(ctx context.Context, targets []netip.AddrPort, rate float64, workers Workers, length time.Duration, spawn func(func()) error) ([]Request, error) {
	bufs := make([][64]byte, workers.Most)
	return SteadyDo(ctx, rate, workers, length, spawn, func(worker, i int) error {
		return askOneConnection(targets[i%len(targets)], bufs[worker][:])
	})
}

// SteadyDo is Steady with a request of the caller's own: do makes request i on the
// thread of a worker. Done is zero for a request that was not made: after the context has
// ended none is.
func SteadyDo(ctx context.Context, rate float64, workers Workers, length time.Duration, spawn func(func()) error, do func(worker, i int) error) ([]Request, error) {
	enoughProcessors()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := steady{rate: rate, most: int64(workers.Most), spawn: spawn, do: do, out: make([]Request, int(rate*length.Seconds())), start: time.Now()}
	s.started.Store(int64(workers.From))
	for w := range workers.From {
		if err := s.work(ctx, w); err != nil {
			cancel()
			s.running.Wait()
			return nil, err
		}
	}
	s.running.Wait()
	return s.out, ctx.Err()
}

// steady is a steady client that runs.
type steady struct {
	rate    float64
	most    int64
	spawn   func(func()) error
	do      func(worker, i int) error
	start   time.Time
	running sync.WaitGroup
	started atomic.Int64 // workers
	free    atomic.Int64 // of them, those that make no request now
	next    atomic.Int64 // request
	out     []Request
}

// work starts a worker.
func (s *steady) work(ctx context.Context, w int) error {
	s.running.Add(1)
	s.free.Add(1)
	err := s.spawn(func() {
		defer s.running.Done()
		for ctx.Err() == nil {
			i := int(s.next.Add(1)) - 1
			if i >= len(s.out) {
				return
			}
			r := &s.out[i]
			r.Intended = time.Duration(float64(i) / s.rate * float64(time.Second))
			if sleepUntil(ctx, s.start.Add(r.Intended)); ctx.Err() != nil {
				return
			}
			if s.free.Add(-1) == 0 {
				s.grow(ctx)
			}
			r.Sent = time.Since(s.start)
			r.Err = s.do(w, i)
			r.Done = time.Since(s.start)
			s.free.Add(1)
		}
	})
	if err != nil {
		s.free.Add(-1)
		s.running.Done()
	}
	return err
}

// grow starts one more worker, unless there are the most. It does not wait for it, since the
// caller has a request to make. Without it requests are late or not made, as their times tell.
func (s *steady) grow(ctx context.Context) {
	w := s.started.Add(1) - 1
	if w >= s.most {
		return
	}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		_ = s.work(ctx, int(w))
	}()
}

// longestSleep is how long a sleep does not notice that its context has ended.
const longestSleep = 50 * time.Millisecond

// sleepUntil sleeps on the caller's own thread, unless the context ends. Go's timers wake a
// goroutine up to a millisecond late where no other one runs, since they wait in whole
// milliseconds, and by way of another thread: in the guest a request went out 1 ms after its
// time.
func sleepUntil(ctx context.Context, at time.Time) {
	for d := time.Until(at); d > 0 && ctx.Err() == nil; d = time.Until(at) {
		t := unix.NsecToTimespec(min(d, longestSleep).Nanoseconds())
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil) // ends early at a signal
	}
}
