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

// Steady opens new connections at a fixed rate, whether the ones before are
// answered or not (open loop): request i is meant for i/rate seconds after the
// start. The workers share the schedule, and whoever is free takes the next request; with
// all of them waiting for answers, requests go out late. spawn is as for [Connect].
func Steady(ctx context.Context, targets []netip.AddrPort, rate float64, workers int, length time.Duration, spawn func(func()) error) ([]Request, error) {
	bufs := make([][64]byte, workers)
	return SteadyDo(ctx, rate, workers, length, spawn, func(worker, i int) error {
		return askOneConnection(targets[i%len(targets)], bufs[worker][:])
	})
}

// SteadyDo is Steady with a request of the caller's own: do makes request i on the
// thread of a worker. Done is zero for a request that was not made.
func SteadyDo(ctx context.Context, rate float64, workers int, length time.Duration, spawn func(func()) error, do func(worker, i int) error) ([]Request, error) {
	enoughProcessors()
	total := int(rate * length.Seconds())
	out := make([]Request, total)
	var next atomic.Int64 // request
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	for w := range workers {
		wg.Add(1)
		err := spawn(func() {
			defer wg.Done()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= total {
					return
				}
				r := &out[i]
				r.Intended = time.Duration(float64(i) / rate * float64(time.Second))
				sleep(r.Intended - time.Since(start))
				r.Sent = time.Since(start)
				r.Err = do(w, i)
				r.Done = time.Since(start)
			}
		})
		if err != nil {
			wg.Done()
			cancel()
			wg.Wait()
			return nil, err
		}
	}
	wg.Wait()
	return out, ctx.Err()
}

// sleep sleeps on the caller's own thread. Go's timers wake a goroutine up to a millisecond
// late where no other one runs, since they wait in whole milliseconds, and by way of another
// thread: in the guest a request went out 1 ms after its time.
func sleep(d time.Duration) {
	for until := time.Now().Add(d); d > 0; d = time.Until(until) {
		t := unix.NsecToTimespec(d.Nanoseconds())
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil) // ends early at a signal
	}
}
