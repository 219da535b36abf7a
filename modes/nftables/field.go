package nftables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"viplab/modes"
)

// Field is something that a rule reads of a packet, or draws, and compares or looks
// up.
type Field uint8

// Fields.
const (
	Dst    Field = iota + 1 // destination address
	Src                     // source address
	Proto                   // transport protocol
	Port                    // destination port
	Mark                    // the packet's mark
	Random                  // a random number, see [Key]
)

// Key is a concatenation of fields.
type Key struct {
	Fields []Field
	// Below bounds the random number, if one is among the fields: 0 to Below-1.
	Below uint32
}

// Keys of the maps.
func byService() Key  { return Key{Fields: []Field{Dst, Proto, Port}} }
func byNodePort() Key { return Key{Fields: []Field{Proto, Port}} }
func byMark() Key     { return Key{Fields: []Field{Mark}} }
func byDst() Key      { return Key{Fields: []Field{Dst}} }
func bySrc() Key      { return Key{Fields: []Field{Src}} }
func byHairpin() Key  { return Key{Fields: []Field{Src, Dst, Proto, Port}} }

// slotOf is a key with a random slot, one of n, at its end.
func slotOf(k Key, n uint32) Key {
	return Key{Fields: append(k.Fields[:len(k.Fields):len(k.Fields)], Random), Below: n}
}

// network is how nft spells the family's header.
func network(f modes.Family) string {
	if f == modes.IPv6 {
		return "ip6"
	}
	return "ip"
}

// text is the key in a rule.
func (k Key) text(f modes.Family) string {
	var out []string
	for _, field := range k.Fields {
		switch field {
		case Dst:
			out = append(out, network(f)+" daddr")
		case Src:
			out = append(out, network(f)+" saddr")
		case Proto:
			out = append(out, "meta l4proto")
		case Port:
			out = append(out, "th dport")
		case Mark:
			out = append(out, "meta mark")
		case Random:
			out = append(out, fmt.Sprintf("numgen random mod %d", k.Below))
		}
	}
	return strings.Join(out, " . ")
}

// types is the key in the declaration of a set, for which nft has names of types.
func (k Key) types(f modes.Family) string {
	var out []string
	for _, field := range k.Fields {
		switch field {
		case Dst, Src:
			out = append(out, addressType(f))
		case Proto:
			out = append(out, "inet_proto")
		case Port:
			out = append(out, "inet_service")
		case Mark, Random:
			out = append(out, "mark")
		}
	}
	return strings.Join(out, " . ")
}

func addressType(f modes.Family) string {
	if f == modes.IPv6 {
		return "ipv6_addr"
	}
	return "ipv4_addr"
}

// size is how many bytes a field takes in a key: each starts in a register of four
// bytes.
func (f Field) size(family modes.Family) int {
	if (f == Dst || f == Src) && family == modes.IPv6 {
		return 16
	}
	return 4
}

// size is the length of the key in bytes.
func (k Key) size(f modes.Family) int {
	n := 0
	for _, field := range k.Fields {
		n += field.size(f)
	}
	return n
}

// The bytes of a key or value, as the kernel has them in its registers: addresses
// and ports in network order, numbers in the machine's, each filled up to four bytes.

func appendAddr(b []byte, a netip.Addr) []byte { return append(b, a.AsSlice()...) }

func appendProto(b []byte, p modes.Protocol) []byte { return append(b, p.Number(), 0, 0, 0) }

func appendPort(b []byte, port uint16) []byte { return append(b, byte(port>>8), byte(port), 0, 0) }

func appendNumber(b []byte, n uint32) []byte { return binary.NativeEndian.AppendUint32(b, n) }

func appendVerdict(b []byte, v Verdict) []byte { return append(append(b, byte(v.Kind)), v.Chain...) }

func appendTarget(b []byte, to netip.AddrPort) []byte {
	return appendPort(appendAddr(b, to.Addr()), to.Port())
}

// words are the fields of a key, from its bytes, as nft spells them in an element.
func (k Key) words(f modes.Family, b string) []string {
	out := make([]string, 0, len(k.Fields))
	for _, field := range k.Fields {
		n := field.size(f)
		part := []byte(b[:n])
		b = b[n:]
		switch field {
		case Dst, Src:
			a, _ := netip.AddrFromSlice(part)
			out = append(out, a.String())
		case Proto:
			out = append(out, protocolName(part[0]))
		case Port:
			out = append(out, fmt.Sprint(binary.BigEndian.Uint16(part)))
		case Mark, Random:
			out = append(out, fmt.Sprint(binary.NativeEndian.Uint32(part)))
		}
	}
	return out
}

func protocolName(n uint8) string {
	for _, p := range modes.Protocols() {
		if p.Number() == n {
			return string(p)
		}
	}
	return fmt.Sprint(n)
}
