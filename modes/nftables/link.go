package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/packet/socket"
)

// link sends transactions to the kernel over netlink.
//
// The messages are not sent by the Conn of google/nftables, whose encoding of
// expressions and types this package uses: it asks for an echo and an answer for each
// rule, which overflow the socket in a transaction of thousands of rules.
type link struct {
	family modes.Family
	sets   map[string]*Set
	count  bool
	conn   *socket.Netlink
	// room is how many bytes fit into one transaction.
	room int
}

// Sizes of what one transaction may take, in bytes: what is asked for, of which a socket
// without the right to more gets twice net.core.wmem_max; what is left to the kernel's
// own use; and what there is in any case.
const (
	largeRoom = 256 << 20
	spareRoom = 4 << 10
	leastRoom = 64 << 10
)

// busyError is that chains which nothing leads to any more cannot be deleted yet.
type busyError struct {
	chains []string
}

// Error counts the chains.
func (e *busyError) Error() string {
	return fmt.Sprintf("the kernel has not yet seen that nothing leads to %d chains", len(e.chains))
}

// patience is how long an answer may take that is there as soon as the call that
// sends returns.
const patience = 30 * time.Second

// open connects to the kernel, in the network namespace of the calling thread.
func (l *link) open() error {
	if l.conn != nil {
		return nil
	}
	conn, err := socket.OpenNetlink(unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open a socket to nf_tables: %w", err)
	}
	fd := int(conn)
	// Reasons in words, where the kernel gives them.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, largeRoom) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, largeRoom)
	}
	l.conn, l.room = &conn, leastRoom
	if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil {
		l.room = n - spareRoom
	}
	return nil
}

func (l *link) close() error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn = nil
	return err
}

// commit carries a Change out: in one transaction, or, where the socket is too small
// for it, in several, of which the last makes what the ones before it wrote work. Chains
// are deleted after that. If the kernel is not ready for it, the error is a busyError with
// those that are left.
func (l *link) commit(c *Change) (cost modes.Cost, err error) {
	start := clock.Now()
	if err := l.open(); err != nil {
		return cost, err
	}
	e := encoder{family: l.family, name: TableName, sets: l.sets, count: l.count}
	if err := e.encode(c); err != nil {
		return cost, fmt.Errorf("encode a transaction of nf_tables: %w", err)
	}
	cost.Encode = clock.Since(start)
	start = clock.Now()
	defer func() { cost.Commit = clock.Since(start) }()
	if _, err = l.inParts(e.out, e.joined, &cost); err != nil {
		return cost, err
	}
	e.after(c)
	done, err := l.inParts(e.out, e.joined, &cost)
	if errors.Is(err, unix.EBUSY) {
		err = &busyError{c.DelChains[done:]}
	}
	return cost, err
}

// inParts sends messages in as many transactions as they need, counts their bytes, and says
// how many messages were committed.
func (l *link) inParts(list []netlink.Message, joined []bool, cost *modes.Cost) (done int, err error) {
	for done < len(list) {
		n := fitting(list[done:], joined[done:], l.room)
		part := list[done : done+n]
		cost.Bytes += size(part)
		if err := l.transact(part); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// fitting is how many of the messages go into one transaction: as many as there is room
// for, but never some of what is joined, unless it alone is too much.
func fitting(list []netlink.Message, joined []bool, room int) int {
	total, cut := 0, 0
	for n, m := range list {
		if !joined[n] && n > 0 {
			cut = n
		}
		if total += len(m.Data) + unix.NLMSG_HDRLEN; total > room && cut > 0 {
			return cut
		}
	}
	return len(list)
}

func size(list []netlink.Message) (n int) {
	for _, m := range list {
		n += len(m.Data) + unix.NLMSG_HDRLEN
	}
	return n
}

// transact sends messages as one transaction: all of it happens, or nothing. The
// answer to the last message comes when it is committed; others come only if
// something is wrong.
func (l *link) transact(list []netlink.Message) error {
	ends := []byte{unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES}
	out := make([]byte, 0, size(list)+2*(unix.NLMSG_HDRLEN+len(ends)))
	out = appendMessage(out, unix.NFNL_MSG_BATCH_BEGIN, netlink.Request, ends)
	for i, m := range list {
		flags := m.Header.Flags
		if i == len(list)-1 {
			flags |= netlink.Acknowledge
		}
		out = appendMessage(out, m.Header.Type, flags, m.Data)
	}
	out = appendMessage(out, unix.NFNL_MSG_BATCH_END, netlink.Request, ends)
	err := l.conn.Send(out)
	if err == nil {
		err = l.answer()
	}
	if err != nil {
		// There may be more answers, which the next transaction is not to read.
		err = errors.Join(fmt.Errorf("nf_tables transaction of %d messages: %w", len(list), err), l.close())
	}
	return err
}

// appendMessage appends a message, whose data is a multiple of four bytes. (The encoding
// of package netlink makes a slice of each, and there are tens of thousands.)
func appendMessage(out []byte, kind netlink.HeaderType, flags netlink.HeaderFlags, data []byte) []byte {
	out = binary.NativeEndian.AppendUint32(out, uint32(unix.NLMSG_HDRLEN+len(data)))
	out = binary.NativeEndian.AppendUint16(out, uint16(kind))
	out = binary.NativeEndian.AppendUint16(out, uint16(flags))
	out = append(out, 0, 0, 0, 0, 0, 0, 0, 0) // sequence number and sender: one answer is awaited at a time
	return append(out, data...)
}

// answer reads the first answer to a transaction, which mostly is there already.
func (l *link) answer() error {
	b := make([]byte, answerRoom)
	m, err := l.conn.Receive(b)
	if m == nil && err == nil {
		if err = l.conn.Await(patience); err == nil {
			m, err = l.conn.Receive(b)
		}
	}
	if err != nil {
		return err
	}
	return refusal(m)
}

// answerRoom holds an answer: two headers and a reason in words.
const answerRoom = 4 << 10

// refusal is the error that an answer tells of: its number, and the reason where there is
// one (NLMSG_ERROR in netlink(7)).
func refusal(m []byte) error {
	const number = unix.NLMSG_HDRLEN
	const request = number + 4
	if len(m) < request+unix.NLMSG_HDRLEN || binary.NativeEndian.Uint16(m[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("netlink answer of %d bytes is no acknowledgement", len(m))
	}
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(m[number:])))
	if errno == 0 {
		return nil
	}
	if binary.NativeEndian.Uint16(m[6:])&unix.NLM_F_ACK_TLVS != 0 {
		if ad, err := netlink.NewAttributeDecoder(m[request+unix.NLMSG_HDRLEN:]); err == nil {
			for ad.Next() {
				if ad.Type() == unix.NLMSGERR_ATTR_MSG {
					return fmt.Errorf("%w: %s", errno, ad.String())
				}
			}
		}
	}
	return errno
}
