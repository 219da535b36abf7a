package socket

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Domain is the socket domain of an address: AF_INET or AF_INET6.
func Domain(a netip.Addr) int {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// Sockaddr is an address and port for system calls.
func Sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: ap.Addr().As16(), Port: int(ap.Port())}
	}
	return &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
}

// AddrPort is the address and port of a Sockaddr; ok is false if it has none.
func AddrPort(sa unix.Sockaddr) (ap netip.AddrPort, ok bool) {
	switch in := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr), uint16(in.Port)), true
	}
	return ap, false
}

// Peer is the address of the other end of a connection; ok is false without one.
func Peer(fd int) (peer netip.Addr, ok bool) { return named(unix.Getpeername(fd)) }

// Local is the address of this end of a connection; ok is false without one.
func Local(fd int) (local netip.Addr, ok bool) { return named(unix.Getsockname(fd)) }

// named is the address that a system call has named.
func named(sa unix.Sockaddr, err error) (netip.Addr, bool) {
	if err != nil {
		return netip.Addr{}, false
	}
	ap, ok := AddrPort(sa)
	return ap.Addr(), ok
}

// Listener opens a socket that is to be bound to an address, and to none of another
// domain; datagrams tell [LocalAddress].
func Listener(at netip.Addr, typ, protocol int) (fd int, err error) {
	domain := Domain(at)
	if fd, err = unix.Socket(domain, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol); err != nil {
		return -1, err
	}
	if domain == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil && typ == unix.SOCK_DGRAM {
		level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
		if domain == unix.AF_INET6 {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
		}
		err = unix.SetsockoptInt(fd, level, option, 1)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// LocalAddress is the address that a datagram was sent to, as the control message
// of a socket of [Listener] tells; ok is false without one.
func LocalAddress(oob []byte) (local netip.Addr, ok bool) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return local, false
	}
	switch data := msgs[0].Data; len(data) {
	case unix.SizeofInet4Pktinfo:
		// struct in_pktinfo: interface, local address, the header's destination.
		return netip.AddrFrom4([4]byte(data[8:12])), true
	case unix.SizeofInet6Pktinfo:
		return netip.AddrFrom16([16]byte(data[:16])), true
	}
	return local, false
}

// SourceMessage is the control message that sends a datagram from an address. The
// interface is left out, so that routing chooses it.
func SourceMessage(local netip.Addr) []byte {
	if local.Is6() {
		return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: local.As16()})
	}
	return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: local.As4()})
}
