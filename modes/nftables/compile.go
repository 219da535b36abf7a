package nftables

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// compiler turns one rule's matches and statements into the kernel's expressions,
// which work on registers, and makes the anonymous sets that they need.
type compiler struct {
	*encoder
	exprs []expr.Any
}

// Registers: one of 16 bytes, in which every key begins, and where registers of four
// bytes begin, which overlap with those.
const (
	firstRegister  = unix.NFT_REG_1
	secondRegister = unix.NFT_REG_2
	smallRegisters = unix.NFT_REG32_00
)

// Bits of conntrack's state and status (enum ip_conntrack_info and ip_conntrack_status
// of the kernel), and the type of addresses that are the node's own (RTN_LOCAL).
const (
	stateNew     = 1 << 3
	statusDNAT   = 1 << 5
	routeIsLocal = unix.RTN_LOCAL
)

// portUnreachable is the code of an ICMP error that no socket is there: 3 in ICMP, 4 in
// ICMPv6.
func portUnreachable(f modes.Family) uint8 {
	if f == modes.IPv6 {
		return 4
	}
	return 3
}

func (c *compiler) add(list ...expr.Any) { c.exprs = append(c.exprs, list...) }

// offset and length of the family's addresses in its header.
func (c *compiler) address(f Field) (offset, length uint32) {
	switch {
	case c.family == modes.IPv6 && f == Src:
		return 8, 16
	case c.family == modes.IPv6:
		return 24, 16
	case f == Src:
		return 12, 4
	}
	return 16, 4
}

// load puts a key into registers, each field where the one before ended.
func (c *compiler) load(k Key) {
	at := uint32(smallRegisters)
	for _, f := range k.Fields {
		switch f {
		case Dst, Src:
			offset, n := c.address(f)
			c.add(&expr.Payload{DestRegister: at, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: n})
		case Proto:
			c.add(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: at})
		case Port:
			c.add(&expr.Payload{DestRegister: at, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
		case Mark:
			c.add(&expr.Meta{Key: expr.MetaKeyMARK, Register: at})
		case Random:
			c.add(&expr.Numgen{Register: at, Modulus: k.Below, Type: unix.NFT_NG_RANDOM})
		}
		at += uint32(f.size(c.family) / 4)
	}
}

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// bits keeps some bits of a register and compares them.
func (c *compiler) bits(mask uint32) {
	c.add(&expr.Bitwise{SourceRegister: firstRegister, DestRegister: firstRegister, Len: 4, Mask: native(mask), Xor: native(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: firstRegister, Data: native(0)})
}

func (NewFlow) compile(c *compiler) {
	c.add(&expr.Ct{Key: expr.CtKeySTATE, Register: firstRegister})
	c.bits(stateNew)
}

func (Translated) compile(c *compiler) {
	c.add(&expr.Ct{Key: expr.CtKeySTATUS, Register: firstRegister})
	c.bits(statusDNAT)
}

func (m Marked) compile(c *compiler) {
	c.load(byMark())
	c.bits(uint32(m))
}

func (m InPrefix) compile(c *compiler) {
	c.load(Key{Fields: []Field{m.Field}})
	n := m.Prefix.Addr().BitLen() / 8
	if !m.Prefix.IsSingleIP() {
		mask := make([]byte, n)
		for i := range m.Prefix.Bits() {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		c.add(&expr.Bitwise{SourceRegister: firstRegister, DestRegister: firstRegister, Len: uint32(n), Mask: mask, Xor: make([]byte, n)})
	}
	op := expr.CmpOpEq
	if m.Not {
		op = expr.CmpOpNeq
	}
	c.add(&expr.Cmp{Op: op, Register: firstRegister, Data: m.Prefix.Masked().Addr().AsSlice()})
}

func (m InRanges) compile(c *compiler) {
	k := Key{Fields: []Field{m.Field}}
	id := c.anonymous("__set%d", k, NoValue, unix.NFT_SET_INTERVAL, nil)
	c.intervals(id, m.Ranges)
	c.load(k)
	c.add(&expr.Lookup{SourceRegister: firstRegister, SetName: "__set%d", SetID: id, Invert: m.Not})
}

func (m InSet) compile(c *compiler) {
	c.load(m.Key)
	c.add(&expr.Lookup{SourceRegister: firstRegister, SetName: m.Set})
}

func (m IsLocal) compile(c *compiler) {
	c.add(&expr.Fib{Register: firstRegister, ResultADDRTYPE: true, FlagSADDR: m.Field == Src, FlagDADDR: m.Field == Dst},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: native(routeIsLocal)})
}

func (m IsProtocol) compile(c *compiler) {
	c.load(Key{Fields: []Field{Proto}})
	c.add(&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: []byte{modes.Protocol(m).Number()}})
}

func (v Verdict) compile(c *compiler) {
	c.add(&expr.Verdict{Kind: expr.VerdictKind(int32(v.code())), Chain: v.Chain})
}

func (Reject) compile(c *compiler) {
	c.add(&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: portUnreachable(c.family)})
}

func (Masquerade) compile(c *compiler) { c.add(&expr.Masq{FullyRandom: true}) }

func (s SetMark) compile(c *compiler) {
	c.load(byMark())
	c.add(&expr.Bitwise{SourceRegister: firstRegister, DestRegister: firstRegister, Len: 4, Mask: native(^s.Clear), Xor: native(s.Flip)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: firstRegister})
}

// find looks a key up in a map and puts the value into a register; 0 is the verdict.
func (c *compiler) find(in string, id, register uint32) {
	c.add(&expr.Lookup{SourceRegister: firstRegister, DestRegister: register, IsDestRegSet: true, SetName: in, SetID: id})
}

func (s Dispatch) compile(c *compiler) {
	c.load(s.Key)
	c.find(s.Map, 0, unix.NFT_REG_VERDICT)
}

func (s DispatchBy) compile(c *compiler) {
	c.load(s.Key)
	c.find(s.Numbers, 0, firstRegister)
	c.find(s.Map, 0, unix.NFT_REG_VERDICT)
}

func (s MarkBy) compile(c *compiler) {
	c.load(s.Key)
	c.find(s.Map, 0, firstRegister)
	c.add(&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: firstRegister})
}

func (s Choose) compile(c *compiler) {
	var list []Element
	for i, chain := range s.Chains {
		list = append(list, Element{Key: string(native(uint32(i))), Data: string(appendVerdict(nil, goTo(chain)))})
	}
	k := slotOf(Key{}, uint32(len(s.Chains)))
	id := c.anonymous("__map%d", k, Verdicts, unix.NFT_SET_MAP, list)
	c.load(k)
	c.find("__map%d", id, unix.NFT_REG_VERDICT)
}

func (s Translate) compile(c *compiler) {
	if len(s.To) == 1 {
		to := s.To[0]
		c.add(&expr.Immediate{Register: firstRegister, Data: to.Addr().AsSlice()},
			&expr.Immediate{Register: secondRegister, Data: binary.BigEndian.AppendUint16(nil, to.Port())})
		c.dnat(secondRegister)
		return
	}
	var list []Element
	for i, to := range s.To {
		list = append(list, Element{Key: string(native(uint32(i))), Data: string(appendTarget(nil, to))})
	}
	k := slotOf(Key{}, uint32(len(s.To)))
	id := c.anonymous("__map%d", k, Targets, unix.NFT_SET_MAP, list)
	c.load(k)
	c.find("__map%d", id, firstRegister)
	c.dnat(c.afterAddress())
}

func (s TranslateBy) compile(c *compiler) {
	c.load(s.Key)
	c.find(s.Map, 0, firstRegister)
	c.dnat(c.afterAddress())
}

// afterAddress is the register of the port in a map's value.
func (c *compiler) afterAddress() uint32 { return uint32(smallRegisters + Dst.size(c.family)/4) }

func (c *compiler) dnat(port uint32) {
	c.add(&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(c.family.Domain()), RegAddrMin: firstRegister, RegProtoMin: port})
}

func (s Remember) compile(c *compiler) {
	c.load(bySrc())
	c.add(&expr.Dynset{SrcRegKey: firstRegister, SetName: s.Set, Operation: unix.NFT_DYNSET_OP_UPDATE})
}

// anonymous makes a set without a name, which lives as long as the rule that it is
// made for, and returns its number in the transaction.
func (c *compiler) anonymous(name string, k Key, v Value, flags uint32, list []Element) uint32 {
	m := c.begin()
	id := c.setHead(m, name, flags|unix.NFT_SET_ANONYMOUS|unix.NFT_SET_CONSTANT, k)
	c.valueType(m, v)
	if len(list) > 0 {
		// With its size known, the kernel takes a hash table of that size.
		at := m.nest(unix.NFTA_SET_DESC)
		m.number(unix.NFTA_SET_DESC_SIZE, uint32(len(list)))
		m.close(at)
	}
	c.end(unix.NFT_MSG_NEWSET, m)
	c.elementsOf(unix.NFT_MSG_NEWSETELEM, &Set{Name: name, Value: v}, id, list)
	return id
}

// intervals fills a set of ranges, by as many messages as they need. None ends amid a
// range, of which a kernel might believe that it has no end.
func (c *compiler) intervals(id uint32, ranges []netip.Prefix) {
	for len(ranges) > 0 {
		m, at := c.beginElements("__set%d", id)
		n := 0
		for n < len(ranges) && len(m.b) < maxElements-256 {
			m.interval(ranges[n])
			n++
		}
		m.close(at)
		ranges = ranges[n:]
		c.end(unix.NFT_MSG_NEWSETELEM, m)
	}
}

// interval writes a range: its first address, and the one after its last, marked as an end.
func (m *message) interval(r netip.Prefix) {
	m.element(Element{Key: string(r.Addr().AsSlice())}, NoValue, true)
	after := last(r).Next()
	if !after.IsValid() {
		return // the range goes on to the last address there is
	}
	item := m.nest(unix.NFTA_LIST_ELEM)
	m.number(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
	key := m.nest(unix.NFTA_SET_ELEM_KEY)
	m.bytes(unix.NFTA_DATA_VALUE, after.AsSlice())
	m.close(key)
	m.close(item)
}

// last is the last address of a range.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
