package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/packet/conntrack"
	"viplab/modes/packet/socket"
	"viplab/modes/snapshot/synth"
)

// kernel answers transactions in the kernel's place, the first ones with success.
type kernel struct {
	fd     int
	good   int // how many succeed
	refuse unix.Errno
	// sizes are those of the transactions in bytes, and messages how many each has.
	sizes, messages []int
	ended           chan struct{}
}

// linked is a link to such a kernel.
func linked(t *testing.T, room, good int, refuse unix.Errno) (*link, *kernel) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn := socket.Netlink(ends[0])
	k := &kernel{fd: ends[1], good: good, refuse: refuse, ended: make(chan struct{})}
	go k.run()
	return &link{family: modes.IPv4, sets: declared{}, conn: &conn, room: room}, k
}

func (k *kernel) run() {
	defer close(k.ended)
	b := make([]byte, 1<<20)
	for {
		n, err := unix.Read(k.fd, b)
		if n <= 0 || err != nil {
			return
		}
		k.sizes = append(k.sizes, n)
		count := 0
		for at := 0; at < n; at += int(binary.NativeEndian.Uint32(b[at:])) {
			count++
		}
		k.messages = append(k.messages, count-2) // without the ends of the batch
		errno := int32(0)
		if len(k.sizes) > k.good {
			errno = -int32(k.refuse)
		}
		answer := appendMessage(nil, unix.NLMSG_ERROR, 0, append(binary.NativeEndian.AppendUint32(nil, uint32(errno)), b[:unix.NLMSG_HDRLEN]...))
		if _, err := unix.Write(k.fd, answer); err != nil {
			return
		}
	}
}

// TestChainsGoInParts: chains are deleted in as many transactions as the socket has room
// for, and those that the kernel keeps for now are named.
func TestChainsGoInParts(t *testing.T) {
	const room = 4000
	c := &Change{}
	for i := range 1000 {
		c.DelChains = append(c.DelChains, fmt.Sprintf("service-%04d", i))
	}
	for good, refuse := range map[int]unix.Errno{1 << 10: 0, 3: unix.EBUSY, 2: unix.ENOMEM} {
		l, k := linked(t, room, good, refuse)
		cost, err := l.commit(c)
		if err := l.close(); err != nil {
			t.Error(err)
		}
		<-k.ended
		_ = unix.Close(k.fd)
		sent, done := 0, 0
		for i, n := range k.messages {
			if k.sizes[i] > room+100 {
				t.Errorf("a transaction of %d bytes, where there is room for %d", k.sizes[i], room)
			}
			if sent += n; i < good {
				done += n
			}
		}
		var busy *busyError
		switch {
		case refuse == 0 && (err != nil || sent != len(c.DelChains) || cost.Bytes < room):
			t.Errorf("%d of %d chains were deleted by %d bytes: %v", sent, len(c.DelChains), cost.Bytes, err)
		case refuse != 0 && len(k.sizes) != good+1:
			t.Errorf("%d transactions, %d of which were to succeed", len(k.sizes), good)
		case errors.As(err, &busy) != (refuse == unix.EBUSY) || refuse != 0 && err == nil:
			t.Errorf("after %v: %v", refuse, err)
		case busy != nil && !slices.Equal(busy.chains, c.DelChains[done:]):
			t.Errorf("%d chains are said to be left of %d, %d of which are gone", len(busy.chains), len(c.DelChains), done)
		}
	}
}

// TestCleanUpFails: an error of the clean-up of conntrack comes after the commit, and what it
// has left is looked for after the next one.
func TestCleanUpFails(t *testing.T) {
	l, k := linked(t, 1<<20, 1000, 0)
	defer func() { _ = l.close(); _ = unix.Close(k.fd) }()
	p := New(Options{Layout: Count, Apply: Netlink})
	p.link.conn, p.link.room = l.conn, l.room
	failure := errors.New("no table to read")
	var looked []modes.Change
	p.cleaner.Do = func(changes []modes.Change, _ conntrack.Leads) (int, error) {
		looked = changes
		return 0, failure
	}
	snap := synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1}.Snapshot()
	for range 2 {
		if _, err := p.Sync(t.Context(), snap); !errors.Is(err, failure) {
			t.Fatalf("want %v, got %v", failure, err)
		}
		if len(looked) != 3 || p.broken {
			t.Errorf("looked for %d of 3 changes; the table counts as broken: %t", len(looked), p.broken)
		}
	}
	failure = nil
	for _, want := range []int{3, 0} { // two are there, and the third has gone
		if _, err := p.Sync(t.Context(), snap.Without(1)); err != nil || len(looked) != want {
			t.Errorf("%v, looked for %d changes, want %d", err, len(looked), want)
		}
	}
}
