package proxy

import (
	"errors"

	"golang.org/x/sys/unix"
)

// pipeSize is how many bytes of a bulk transfer may be in flight between the
// two sockets. The largest pipe that an ordinary user may have is 1 MB.
const pipeSize = 1 << 20

// pipe carries bulk data between two sockets without copying it to user space.
type pipe struct {
	r, w int
	held int
}

// newPipe is nil when no pipe can be had; data is then copied.
func newPipe() *pipe {
	var p [2]int
	if unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		return nil
	}
	_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{r: p[0], w: p[1]}
}

func (p *pipe) close() {
	if p != nil {
		_ = unix.Close(p.r)
		_ = unix.Close(p.w)
	}
}

const spliceFlags = unix.SPLICE_F_NONBLOCK | unix.SPLICE_F_MOVE

// splice fills the pipe from the socket; false: nothing more to do now.
func (l *loop) splice(s *side) bool {
	n, err := unix.Splice(s.fd, nil, s.pipe.w, nil, pipeSize, spliceFlags)
	switch {
	case n > 0:
		s.pipe.held += int(n)
	case errors.Is(err, unix.EINTR):
	case errors.Is(err, unix.EAGAIN):
		// The pipe is empty here, so it was the socket that had nothing.
		s.more = false
	case err == nil:
		s.ended = true
	default:
		l.finish(s.pair)
		return false
	}
	return true
}

// drainPipe empties the pipe into the peer and says whether all of it went.
func (l *loop) drainPipe(s *side) bool {
	for s.pipe.held > 0 {
		n, err := unix.Splice(s.pipe.r, nil, s.peer.fd, nil, s.pipe.held, spliceFlags)
		if n > 0 {
			s.pipe.held -= int(n)
			continue
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			l.finish(s.pair)
		}
		return false
	}
	return true
}
