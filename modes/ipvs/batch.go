package ipvs

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"viplab/modes/clock"
	"viplab/modes/packet/socket"
)

// chunk is how many bytes of messages go to the kernel in one send. The
// default send buffer of a netlink socket is about 200 kB.
const chunk = 64 << 10

// batch sends many netlink messages with one system call, and asks for no
// acknowledgement. The kernel carries rtnetlink, generic netlink and ipset messages
// out while it takes them, so that when a send returns they are done, and only those
// that failed have left an answer. (moby/ipvs and vishvananda/netlink wait for an
// answer after every message, which costs three system calls each; in the guest a
// system call takes 10 to 20 µs.)
type batch struct {
	conn  socket.Netlink
	buf   []byte
	last  int           // start of the last message in buf
	seq   uint32        // of the last message
	sent  uint32        // sequence number of the last message that was sent
	first uint32        // and of the last one of the send before
	bytes int           // sent in total
	took  time.Duration // spent in flush
	nest  []int         // starts of open nested attributes
	ops   []Op          // what the messages since the last answers were for
	reply [8192]byte
}

func newBatch(protocol int) (*batch, error) {
	conn, err := socket.OpenNetlink(protocol)
	if err != nil {
		return nil, err
	}
	return &batch{conn: conn, buf: make([]byte, 0, chunk+4096)}, nil
}

func (b *batch) close() error { return b.conn.Close() }

// begin starts the message that carries an operation out; header is the part after the
// netlink header.
func (b *batch) begin(o Op, typ uint16, flags uint16, header ...byte) {
	b.ops = append(b.ops, o)
	b.last = len(b.buf)
	b.seq++
	b.buf = binary.NativeEndian.AppendUint32(b.buf, 0) // length, set by end
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, unix.NLM_F_REQUEST|flags)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, b.seq)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, 0)
	b.buf = append(b.buf, header...)
	b.pad()
}

func (b *batch) pad() {
	for len(b.buf)%4 != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *batch) attr(typ uint16, data ...byte) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(4+len(data)))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = append(b.buf, data...)
	b.pad()
}

func (b *batch) attrString(typ uint16, s string) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(5+len(s)))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = append(b.buf, s...)
	b.buf = append(b.buf, 0)
	b.pad()
}

func (b *batch) attr32(typ uint16, v uint32) {
	b.attr(typ, (*[4]byte)(unsafe.Pointer(&v))[:]...)
}

func (b *batch) open(typ uint16) {
	b.nest = append(b.nest, len(b.buf))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, 0)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ|unix.NLA_F_NESTED)
}

func (b *batch) shut() {
	at := b.nest[len(b.nest)-1]
	b.nest = b.nest[:len(b.nest)-1]
	binary.NativeEndian.PutUint16(b.buf[at:], uint16(len(b.buf)-at))
}

// end finishes a message and sends the chunk when it is full.
func (b *batch) end() error {
	binary.NativeEndian.PutUint32(b.buf[b.last:], uint32(len(b.buf)-b.last))
	if len(b.buf) >= chunk {
		return b.flush()
	}
	return nil
}

// flush sends what is buffered and looks for failures. The error is an [opError] of the
// first operation that failed.
func (b *batch) flush() error {
	start := clock.Now()
	defer func() { b.took += clock.Since(start) }()
	if err := b.send(); err != nil {
		return err
	}
	return b.failures()
}

// send sends what is buffered. Failures of single messages wait on the socket.
func (b *batch) send() error {
	if len(b.buf) == 0 {
		return nil
	}
	b.first, b.sent = b.sent, b.seq
	b.bytes += len(b.buf)
	err := b.conn.Send(b.buf)
	b.buf = b.buf[:0]
	return err
}

// failures reads what the kernel has answered; nothing is good news.
func (b *batch) failures() error {
	defer func() { b.ops = b.ops[:0] }()
	var failed error
	for {
		m, err := b.conn.Receive(b.reply[:])
		switch {
		case err != nil:
			return err
		case m == nil:
			return failed
		}
		for len(m) >= unix.SizeofNlMsghdr+4 {
			size := int(binary.NativeEndian.Uint32(m))
			typ, seq := binary.NativeEndian.Uint16(m[4:]), binary.NativeEndian.Uint32(m[8:])
			if size < unix.SizeofNlMsghdr+4 || size > len(m) {
				return fmt.Errorf("netlink answer of %d bytes is cut short", size)
			}
			if errno := int32(binary.NativeEndian.Uint32(m[unix.SizeofNlMsghdr:])); typ == unix.NLMSG_ERROR && errno != 0 && failed == nil {
				failed = b.refused(seq, unix.Errno(-errno))
			}
			m = m[min((size+3)&^3, len(m)):]
		}
	}
}

// flushAll sends what is buffered on all of them, and looks for failures on all
// with one system call.
func flushAll(list ...*batch) error {
	poll := make([]unix.PollFd, len(list))
	for i, b := range list {
		if err := b.send(); err != nil {
			return err
		}
		poll[i] = unix.PollFd{Fd: int32(b.conn), Events: unix.POLLIN}
	}
	if n, err := unix.Poll(poll, 0); n == 0 && err == nil {
		for _, b := range list {
			b.ops = b.ops[:0]
		}
		return nil
	}
	for _, b := range list {
		if err := b.failures(); err != nil {
			return err
		}
	}
	return nil
}

// refused is the failure of the message of a sequence number.
func (b *batch) refused(seq uint32, errno unix.Errno) error {
	if i := int(int32(seq - b.first - 1)); i >= 0 && i < len(b.ops) {
		return &opError{b.ops[i], errno}
	}
	return fmt.Errorf("netlink message %d: %w", seq, explain(errno))
}
