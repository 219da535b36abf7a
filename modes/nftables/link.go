package nftables

import (
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/clock"
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
	conn   *netlink.Conn
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

// errBusy is that chains which nothing leads to any more cannot be deleted yet.
var errBusy = errors.New("the kernel has not yet seen that nothing leads to the chains")

// patience is how long an answer may take that is there as soon as the call that
// sends returns.
const patience = 30 * time.Second

// open connects to the kernel, in the network namespace of the calling thread.
func (l *link) open() error {
	if l.conn != nil {
		return nil
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("open a socket to nf_tables: %w", err)
	}
	// Reasons in words, where the kernel gives them.
	_ = conn.SetOption(netlink.ExtendedAcknowledge, true)
	l.conn, l.room = conn, leastRoom
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, largeRoom) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, largeRoom)
			}
			if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil {
				l.room = n - spareRoom
			}
		})
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
// for it, in several, of which the last makes what the ones before it wrote work.
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
	for change, joined := e.out, e.joined; len(change) > 0 && err == nil; {
		n := fitting(change, joined, l.room)
		cost.Bytes += size(change[:n])
		err = l.transact(change[:n])
		change, joined = change[n:], joined[n:]
	}
	if after := e.after(c); err == nil && len(after) > 0 {
		cost.Bytes += size(after)
		if err = l.transact(after); errors.Is(err, unix.EBUSY) {
			err = errBusy
		}
	}
	return cost, err
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
	edge := func(kind netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request},
			Data:   []byte{unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	batch := make([]netlink.Message, 0, len(list)+2)
	batch = append(append(batch, edge(unix.NFNL_MSG_BATCH_BEGIN)), list...)
	batch[len(batch)-1].Header.Flags |= netlink.Acknowledge
	batch = append(batch, edge(unix.NFNL_MSG_BATCH_END))
	_, err := l.conn.SendMessages(batch)
	if err == nil {
		_ = l.conn.SetReadDeadline(time.Now().Add(patience))
		_, err = l.conn.Receive()
	}
	if err != nil {
		// There may be more answers, which the next transaction is not to read.
		err = errors.Join(fmt.Errorf("nf_tables transaction of %d messages: %w", len(list), err), l.close())
	}
	return err
}
