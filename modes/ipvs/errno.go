package ipvs

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers by which ipset says what it refuses: include/uapi/linux/netfilter/ipset/ip_set.h,
// and from 4352 on, for each type of set, ip_set_hash.h and ip_set_bitmap.h.
const (
	ipsetErrProtocol syscall.Errno = iota + 4097
	ipsetErrFindType
	ipsetErrMaxSets
	ipsetErrBusy
	ipsetErrExistName
	ipsetErrTypeMismatch
	ipsetErrExist
	ipsetErrInvalidCIDR
	ipsetErrInvalidNetmask
	ipsetErrInvalidFamily
	ipsetErrTimeout
	ipsetErrReferenced
	ipsetErrIPv4
	ipsetErrIPv6
	ipsetErrCounter
	ipsetErrComment
	ipsetErrMarkmask
	ipsetErrSkbinfo
)

// Those of the types.
const (
	ipsetErrFull syscall.Errno = iota + 4352
	ipsetErrElement
	ipsetErrInvalidProto
	ipsetErrMissingProto
	ipsetErrRangeUnsupported
	ipsetErrRange
)

// ipsetMeaning says what a number of ipset's own means, "" for others.
func ipsetMeaning(e syscall.Errno) string {
	return map[syscall.Errno]string{
		ipsetErrProtocol:         "the kernel speaks another version of ipset's protocol",
		ipsetErrFindType:         "the kernel has no set of this type",
		ipsetErrMaxSets:          "the kernel has no room for another set",
		ipsetErrBusy:             "the set is in use, by a rule or by another set",
		ipsetErrExistName:        "a set of the new name exists",
		ipsetErrTypeMismatch:     "the two sets are of different types",
		ipsetErrExist:            "the entry exists, or one that is to be deleted does not",
		ipsetErrInvalidCIDR:      "a range of this length cannot be an entry",
		ipsetErrInvalidNetmask:   "the netmask is invalid",
		ipsetErrInvalidFamily:    "the set has no such address family",
		ipsetErrTimeout:          "the set has no timeouts",
		ipsetErrReferenced:       "the set is in use, by a rule or by another set",
		ipsetErrIPv4:             "the set wants an address of IPv4",
		ipsetErrIPv6:             "the set wants an address of IPv6",
		ipsetErrCounter:          "the set has no counters",
		ipsetErrComment:          "the set has no comments",
		ipsetErrMarkmask:         "the mark mask is invalid",
		ipsetErrSkbinfo:          "the set has no packet information",
		ipsetErrFull:             fmt.Sprintf("the set is full: it may have %d entries, or the port is outside of its range", maxEntries),
		ipsetErrElement:          "the entry cannot be an element of the set",
		ipsetErrInvalidProto:     "the protocol is invalid",
		ipsetErrMissingProto:     "the protocol is missing",
		ipsetErrRangeUnsupported: "the set takes no ranges of addresses",
		ipsetErrRange:            "the range of addresses is invalid",
	}[e]
}

// meaning says what an errno of netlink means for the mode's objects.
func meaning(e syscall.Errno) string {
	switch e {
	case unix.EEXIST:
		return "it exists already"
	case unix.ENOENT:
		return "it is not there"
	case unix.ESRCH:
		return "the kernel has no such virtual server or route"
	case unix.EADDRNOTAVAIL:
		return "the device has no such address"
	case unix.ENODEV:
		return "the device is gone"
	case unix.EPERM, unix.EACCES:
		return "root is needed"
	case unix.EINVAL:
		return "the kernel takes it for invalid"
	case unix.ENOMEM, unix.ENOBUFS:
		return "the kernel has no memory for it"
	case unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EOPNOTSUPP:
		return "this kernel does not support it"
	}
	return ipsetMeaning(e)
}

// errnoOf is the number in an error of the kernel's, 0 if it has none.
func errnoOf(err error) syscall.Errno {
	var set nl.IPSetError
	var e syscall.Errno
	switch {
	case errors.As(err, &set):
		return syscall.Errno(set)
	case errors.As(err, &e):
		return e
	}
	return 0
}

// explain adds to an error of the kernel's what its number means.
func explain(err error) error {
	if text := meaning(errnoOf(err)); text != "" {
		return fmt.Errorf("%s (%w)", text, err)
	}
	return err
}

// isGone tells whether an error says that what was to be deleted or changed is not there.
func isGone(err error) bool {
	switch errnoOf(err) {
	case unix.ENOENT, unix.ESRCH, unix.EADDRNOTAVAIL, unix.ENODEV:
		return true
	}
	return false
}

// opError is the kernel's refusal of one operation.
type opError struct {
	op  Op
	err syscall.Errno
}

// Error names the operation, the object and what the refusal means.
func (e *opError) Error() string {
	text := meaning(e.err)
	if text == "" {
		text = e.err.Error()
	}
	if e.op.Kind == AddReal && e.err == unix.ENOENT || e.op.Kind == AddServer && e.err == unix.ENOENT {
		text = "the kernel lacks the virtual server or its scheduler"
	}
	return fmt.Sprintf("%s: %s (errno %d)", e.op.describe(), text, int(e.err))
}

// Unwrap gives the number.
func (e *opError) Unwrap() error { return e.err }
