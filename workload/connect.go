package workload

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes/packet/socket"
)

// Connections is what a closed loop of new connections did.
type Connections struct {
	Done   int           // connections that were answered
	Failed int           // connections that were not
	Took   time.Duration // wall clock
	Err    error         // of one that failed
}

// PerSecond is the rate of answered connections.
func (c Connections) PerSecond() float64 { return float64(c.Done) / c.Took.Seconds() }

// Connect opens new TCP connections for a while in a closed loop: connect,
// request, answer, close, and the next. Each worker takes the targets in turn
// from a place of its own. The server closes first, so that no local port of
// the client stays in TIME_WAIT. spawn starts a function on a thread of its own
// in the client's namespace. Call it inside [Quiet].
func Connect(ctx context.Context, targets []netip.AddrPort, workers int, length time.Duration, spawn func(func()) error) (Connections, error) {
	var total Connections
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	start := time.Now()
	for w := range workers {
		wg.Add(1)
		err := spawn(func() {
			defer wg.Done()
			part := connectLoop(ctx, targets, w*len(targets)/workers)
			mu.Lock()
			defer mu.Unlock()
			total.Done += part.Done
			total.Failed += part.Failed
			if part.Err != nil {
				total.Err = part.Err
			}
		})
		if err != nil {
			wg.Done()
			cancel()
			wg.Wait()
			return total, err
		}
	}
	wg.Wait()
	total.Took = time.Since(start)
	return total, nil
}

func connectLoop(ctx context.Context, targets []netip.AddrPort, at int) Connections {
	var c Connections
	buf := make([]byte, 64)
	for ctx.Err() == nil {
		if err := connectOnce(targets[at%len(targets)], buf); err != nil {
			c.Failed++
			c.Err = err
		} else {
			c.Done++
		}
		at++
	}
	return c
}

func connectOnce(to netip.AddrPort, buf []byte) error {
	return connection(to, buf, socket.Connect, socket.Write, socket.Read)
}

// askOneConnection is the same by ordinary system calls, for a client beside
// which other work of this process goes on, collections included.
func askOneConnection(to netip.AddrPort, buf []byte) error {
	return connection(to, buf,
		func(fd int, to netip.AddrPort) error {
			return retry(func() error { return unix.Connect(fd, socket.Sockaddr(to)) })
		},
		func(fd int, b []byte) (n int, err error) {
			err = retry(func() error { n, err = unix.Write(fd, b); return err })
			return n, err
		},
		func(fd int, b []byte) (n int, err error) {
			err = retry(func() error { n, err = unix.Read(fd, b); return err })
			return n, err
		})
}

func connection(to netip.AddrPort, buf []byte, connect func(int, netip.AddrPort) error, write, read func(int, []byte) (int, error)) error {
	fd, err := socket.Socket(to.Addr(), unix.SOCK_STREAM)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", to, err)
	}
	defer socket.Close(fd)
	tv := unix.NsecToTimeval(Timeout.Nanoseconds())
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv) // of connect(2), too
	if err := connect(fd, to); errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("connect to %s: the client's local ports are exhausted: %w", to, err)
	} else if err != nil {
		return fmt.Errorf("connect to %s: %w", to, err)
	}
	if _, err := write(fd, []byte{askOnce}); err != nil {
		return fmt.Errorf("request to %s: %w", to, err)
	}
	got := 0
	for {
		n, err := read(fd, buf)
		if err != nil {
			return fmt.Errorf("answer from %s: %w", to, err)
		}
		if n == 0 {
			break
		}
		got += n
	}
	if got == 0 {
		return fmt.Errorf("answer from %s: connection ended without one", to)
	}
	return nil
}
