package ebpf

import (
	"encoding/binary"
	"net/netip"
)

// The structs of bpf/maps.h, byte for byte: no padding but what is named, so that slices
// of them are what the kernel wants.

type (
	address4 [4]byte
	address6 [16]byte
)

// address is an address as it stands in packets.
type address interface{ address4 | address6 }

type frontKey[A address] struct {
	Addr         A
	Port         [2]byte // big endian
	Proto, Scope uint8
	Slot         uint32
}

type serviceValue struct {
	ID           uint32
	Count, Flags uint16
	Affinity     uint32
}

type backendValue[A address] struct {
	Addr   A
	Port   [2]byte
	Fronts uint16
}

type sourceKey[A address] struct {
	Prefix, ID uint32
	Addr       A
}

type settingsValue[A address] struct {
	Cluster, Mask A
	Has           uint32
	Loopback      uint32 // whether node ports are served at all loopback addresses
}

func toAddress[A address](a netip.Addr) (out A) {
	switch p := any(&out).(type) {
	case *address4:
		*p = a.As4()
	case *address6:
		*p = a.As16()
	}
	return out
}

func fromAddress[A address](a A) netip.Addr {
	switch v := any(a).(type) {
	case address4:
		return netip.AddrFrom4(v)
	case address6:
		return netip.AddrFrom16(v)
	}
	return netip.Addr{}
}

func bigEndian(port uint16) (out [2]byte) {
	binary.BigEndian.PutUint16(out[:], port)
	return out
}

func join[A address](a A, port [2]byte) netip.AddrPort {
	return netip.AddrPortFrom(fromAddress(a), binary.BigEndian.Uint16(port[:]))
}

func toFront[A address](f Front) frontKey[A] {
	k := frontKey[A]{Addr: toAddress[A](f.Addr), Port: bigEndian(f.Port), Proto: f.Proto.Number(), Slot: f.Slot}
	if f.Inside {
		k.Scope = 1
	}
	return k
}

func toBackend[A address](to netip.AddrPort, by Fronts) backendValue[A] {
	return backendValue[A]{Addr: toAddress[A](to.Addr()), Port: bigEndian(to.Port()), Fronts: uint16(by)}
}

// toSource is the key of a range in the trie of prefixes: the id must match as a whole.
func toSource[A address](k Key) sourceKey[A] {
	return sourceKey[A]{Prefix: 32 + uint32(k.Source.Bits()), ID: k.ID, Addr: toAddress[A](k.Source.Addr())}
}

// toSettings is the pods' range as address and mask, and where node ports are served.
func toSettings[A address](s scope) (v settingsValue[A]) {
	cluster := s.cluster
	if s.loopback {
		v.Loopback = 1
	}
	if !cluster.IsValid() {
		return v
	}
	mask := make([]byte, cluster.Addr().BitLen()/8)
	for i := range cluster.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	m, _ := netip.AddrFromSlice(mask) // of a length that it takes
	v.Cluster, v.Mask, v.Has = toAddress[A](cluster.Masked().Addr()), toAddress[A](m), 1
	return v
}
