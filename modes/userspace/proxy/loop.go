package proxy

import (
	"encoding/gob"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes/packet/socket"
)

// handler is what an epoll event on a file descriptor goes to.
type handler interface {
	event(l *loop, events uint32)
}

// loop is the whole state of the proxy; only its own thread touches it.
type loop struct {
	epoll    int
	handlers []handler // by file descriptor
	portals  map[uint32]*portal
	ports    portPool
	flows    flowTable
	buf      []byte // shared by all copies, which never outlive one event
}

// interest is what every connection is registered for, once: with edges, there
// is nothing to change later.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// bufferSize is what one receive may bring; a receive that fills it marks bulk
// data, which then goes on through splice(2).
const bufferSize = 64 << 10

// Run serves until the input ends.
func Run(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	raiseFileLimit()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	l := &loop{epoll: ep, portals: map[uint32]*portal{}, buf: make([]byte, bufferSize)}
	l.flows.byClient = map[flowKey]*flow{}
	updates := make(chan Update)
	wake, err := l.readUpdates(in, updates)
	if err != nil {
		return err
	}
	return l.serve(wake, updates, gob.NewEncoder(out))
}

// raiseFileLimit asks for as many open files as may be had: each portal takes
// one, each connection two.
func raiseFileLimit() {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return
	}
	const want = 1 << 20
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: max(want, lim.Max)}) != nil {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: lim.Max, Max: lim.Max})
	}
}

// readUpdates decodes updates on a goroutine of its own and makes the returned
// descriptor readable for each. The channel closes with the input.
func (l *loop) readUpdates(in io.Reader, updates chan<- Update) (int, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return 0, fmt.Errorf("create eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, wake, &ev); err != nil {
		return 0, fmt.Errorf("watch the control channel: %w", err)
	}
	ring := func() { _, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }
	go func() {
		defer ring()
		defer close(updates)
		dec := gob.NewDecoder(in)
		for {
			var u Update
			if dec.Decode(&u) != nil {
				return
			}
			ring()
			updates <- u
		}
	}()
	return wake, nil
}

func (l *loop) serve(wake int, updates <-chan Update, replies *gob.Encoder) error {
	poll := &socket.Poller{Epoll: l.epoll}
	for {
		timeout := -1
		if len(l.flows.byClient) > 0 {
			timeout = int(flowIdle.Milliseconds())
		}
		events, err := poll.Wait(timeout)
		if err != nil {
			return fmt.Errorf("wait for events: %w", err)
		}
		for _, ev := range events {
			fd := int(ev.Fd)
			if fd == wake {
				var count [8]byte
				_, _ = unix.Read(wake, count[:])
				u, more := <-updates
				if !more {
					return nil
				}
				if err := replies.Encode(l.update(u)); err != nil {
					return fmt.Errorf("answer an update: %w", err)
				}
				continue
			}
			if h := l.handlers[fd]; h != nil {
				h.event(l, ev.Events)
			}
		}
		if len(l.flows.byClient) > 0 {
			l.flows.expire(l, time.Now())
		}
	}
}

func (l *loop) watch(fd int, events uint32, h handler) error {
	for fd >= len(l.handlers) {
		l.handlers = append(l.handlers, make([]handler, max(1024, len(l.handlers)))...)
	}
	l.handlers[fd] = h
	if err := socket.Watch(l.epoll, fd, events); err != nil {
		l.handlers[fd] = nil
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	return nil
}

// shut closes a descriptor, which also takes it out of epoll.
func (l *loop) shut(fd int) {
	l.handlers[fd] = nil
	socket.Close(fd)
}
