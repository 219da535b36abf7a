package nftables

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// encoder turns a Change into netlink messages.
type encoder struct {
	family modes.Family
	name   string          // of the table
	sets   map[string]*Set // those of the table
	count  bool            // rules count their packets
	out    []netlink.Message
	// joined tells of each message whether it makes no sense without the one before:
	// an anonymous set, its elements and its rule are one.
	joined []bool
	nextID uint32 // of sets, within a transaction
	err    error
}

// maxElements bounds the elements of one message, in bytes: the length of the attribute
// that holds them has 16 bits.
const maxElements = 1<<16 - 256

// encode makes the messages of a Change that change the table; [encoder.out] and
// [encoder.joined] are they.
func (e *encoder) encode(c *Change) error {
	if c.Remove {
		e.table(unix.NFT_MSG_NEWTABLE)
		e.table(unix.NFT_MSG_DELTABLE)
	}
	if c.Create {
		e.table(unix.NFT_MSG_NEWTABLE)
	}
	e.elements(unix.NFT_MSG_DELSETELEM, c.DelElements)
	for _, name := range c.EmptyChains {
		e.named(unix.NFT_MSG_DELRULE, unix.NFTA_RULE_TABLE, unix.NFTA_RULE_CHAIN, name)
	}
	for _, chain := range c.SetChains {
		e.named(unix.NFT_MSG_DELRULE, unix.NFTA_RULE_TABLE, unix.NFTA_RULE_CHAIN, chain.Name)
	}
	for _, name := range c.DelSets {
		e.named(unix.NFT_MSG_DELSET, unix.NFTA_SET_TABLE, unix.NFTA_SET_NAME, name)
	}
	for _, s := range c.AddSets {
		e.sets[s.Name] = s
		e.set(s)
	}
	for _, chain := range c.AddChains {
		e.chain(chain)
	}
	for _, list := range [][]*Chain{c.AddChains, c.SetChains} {
		for _, chain := range list {
			for _, r := range chain.Rules {
				e.rule(chain.Name, r)
			}
		}
	}
	e.elements(unix.NFT_MSG_NEWSETELEM, c.AddElements)
	return e.err
}

// after makes, instead, the messages that have to wait until the Change is committed: one
// for each chain that is to be deleted, in order.
func (e *encoder) after(c *Change) {
	e.out, e.joined = nil, nil
	for _, name := range c.DelChains {
		e.named(unix.NFT_MSG_DELCHAIN, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME, name)
	}
}

// begin starts a message with the header that all of netfilter's have: the family, a
// version, and an identity that only the ends of a batch use.
func (e *encoder) begin() *message {
	return &message{b: []byte{byte(e.family.Domain()), 0, 0, 0}}
}

// end adds a finished message. What is new is created, rules at the end of their chain.
func (e *encoder) end(kind int, m *message) {
	flags := netlink.Request
	switch kind {
	case unix.NFT_MSG_NEWRULE:
		flags |= netlink.Create | netlink.Append
	case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_NEWSET, unix.NFT_MSG_NEWSETELEM:
		flags |= netlink.Create
	}
	e.out = append(e.out, netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: flags},
		Data:   m.b,
	})
	e.joined = append(e.joined, false)
}

func (e *encoder) table(kind int) {
	m := e.begin()
	m.name(unix.NFTA_TABLE_NAME, e.name)
	e.end(kind, m)
}

// named is a message that only names something in the table.
func (e *encoder) named(kind int, table, what uint16, name string) {
	m := e.begin()
	m.name(table, e.name)
	m.name(what, name)
	e.end(kind, m)
}

func (e *encoder) chain(c *Chain) {
	m := e.begin()
	m.name(unix.NFTA_CHAIN_TABLE, e.name)
	m.name(unix.NFTA_CHAIN_NAME, c.Name)
	if h := c.Hook; h != nil {
		at := m.nest(unix.NFTA_CHAIN_HOOK)
		m.number(unix.NFTA_HOOK_HOOKNUM, uint32(h.Point))
		m.number(unix.NFTA_HOOK_PRIORITY, uint32(int32(h.Priority)))
		m.close(at)
		m.name(unix.NFTA_CHAIN_TYPE, h.Type)
	}
	e.end(unix.NFT_MSG_NEWCHAIN, m)
}

func (e *encoder) rule(chain string, r Rule) {
	first := len(e.out)
	c := &compiler{encoder: e}
	for _, match := range r.If {
		match.compile(c)
	}
	if e.count {
		c.add(&expr.Counter{})
	}
	for _, s := range r.Do {
		s.compile(c)
	}
	m := e.begin()
	m.name(unix.NFTA_RULE_TABLE, e.name)
	m.name(unix.NFTA_RULE_CHAIN, chain)
	list := m.nest(unix.NFTA_RULE_EXPRESSIONS)
	for _, x := range c.exprs {
		b, err := expr.Marshal(byte(e.family.Domain()), x)
		if err != nil && e.err == nil {
			e.err = err
		}
		m.bytes(unix.NFTA_LIST_ELEM|nested, b)
	}
	m.close(list)
	e.end(unix.NFT_MSG_NEWRULE, m)
	for i := first + 1; i < len(e.out); i++ {
		e.joined[i] = true
	}
}

// Data types as the nft tool numbers them, which it needs to list a set.
func (e *encoder) keyType(k Key) nftables.SetDatatype {
	var types []nftables.SetDatatype
	for _, f := range k.Fields {
		switch f {
		case Dst, Src:
			types = append(types, e.addressType())
		case Proto:
			types = append(types, nftables.TypeInetProto)
		case Port:
			types = append(types, nftables.TypeInetService)
		case Mark:
			types = append(types, nftables.TypeMark)
		case Random:
			types = append(types, e.numberType(k))
		}
	}
	return e.concat(types...)
}

func (e *encoder) concat(types ...nftables.SetDatatype) nftables.SetDatatype {
	if len(types) == 1 {
		return types[0]
	}
	t, err := nftables.ConcatSetType(types...)
	if err != nil && e.err == nil {
		e.err = err
	}
	return t
}

// numberType is the type of a random number: an integer, whose length the tool does
// not know where it is part of something longer.
func (e *encoder) numberType(k Key) nftables.SetDatatype {
	if len(k.Fields) == 1 {
		return nftables.TypeInteger
	}
	return nftables.TypeMark
}

func (e *encoder) addressType() nftables.SetDatatype {
	if e.family == modes.IPv6 {
		return nftables.TypeIP6Addr
	}
	return nftables.TypeIPAddr
}

// set makes a named set or map.
func (e *encoder) set(s *Set) {
	m, flags := e.begin(), uint32(0)
	if s.Value != NoValue {
		flags |= unix.NFT_SET_MAP
	}
	if s.Timeout > 0 {
		flags |= unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL
	}
	e.setHead(m, s.Name, flags, s.Key)
	e.valueType(m, s.Value)
	if s.Timeout > 0 {
		m.bytes(unix.NFTA_SET_TIMEOUT, binary.BigEndian.AppendUint64(nil, uint64(s.Timeout.Milliseconds())))
	}
	if s.Size > 0 {
		at := m.nest(unix.NFTA_SET_DESC)
		m.number(unix.NFTA_SET_DESC_SIZE, s.Size)
		m.close(at)
	}
	e.end(unix.NFT_MSG_NEWSET, m)
}

// setHead is what named and anonymous sets have in common. It returns the set's
// number in the transaction.
func (e *encoder) setHead(m *message, name string, flags uint32, k Key) uint32 {
	e.nextID++
	t := e.keyType(k)
	m.name(unix.NFTA_SET_TABLE, e.name)
	m.name(unix.NFTA_SET_NAME, name)
	m.number(unix.NFTA_SET_FLAGS, flags)
	m.number(unix.NFTA_SET_KEY_TYPE, t.GetNFTMagic())
	m.number(unix.NFTA_SET_KEY_LEN, uint32(k.size(e.family)))
	m.number(unix.NFTA_SET_ID, e.nextID)
	return e.nextID
}

func (e *encoder) valueType(m *message, v Value) {
	switch v {
	case Verdicts:
		m.number(unix.NFTA_SET_DATA_TYPE, unix.NFT_DATA_VERDICT)
		m.number(unix.NFTA_SET_DATA_LEN, 0)
	case Numbers:
		m.number(unix.NFTA_SET_DATA_TYPE, nftables.TypeMark.GetNFTMagic())
		m.number(unix.NFTA_SET_DATA_LEN, 4)
	case Targets:
		t := e.concat(e.addressType(), nftables.TypeInetService)
		m.number(unix.NFTA_SET_DATA_TYPE, t.GetNFTMagic())
		m.number(unix.NFTA_SET_DATA_LEN, t.Bytes)
	}
}

// elements writes elements, those of one set together.
func (e *encoder) elements(kind int, list []Element) {
	var names []string
	var bySet [][]Element
	for _, el := range list {
		i := slices.Index(names, el.In) // few
		if i < 0 {
			i = len(names)
			names, bySet = append(names, el.In), append(bySet, nil)
		}
		bySet[i] = append(bySet[i], el)
	}
	for i, name := range names {
		e.elementsOf(kind, e.sets[name], 0, bySet[i])
	}
}

// elementsOf writes the elements of one set: a named one, or an anonymous one by its
// number in the transaction.
func (e *encoder) elementsOf(kind int, s *Set, id uint32, list []Element) {
	for len(list) > 0 {
		m, at := e.beginElements(s.Name, id)
		m.b = slices.Grow(m.b, min(maxElements, 100*len(list)))
		n := 0
		for n < len(list) && len(m.b) < maxElements-256-len(list[n].Data) {
			m.element(list[n], s.Value, kind == unix.NFT_MSG_DELSETELEM)
			n++
		}
		m.close(at)
		list = list[n:]
		e.end(kind, m)
	}
}

// beginElements begins a message of elements of a set, and the list of them.
func (e *encoder) beginElements(set string, id uint32) (m *message, list int) {
	m = e.begin()
	m.name(unix.NFTA_SET_ELEM_LIST_TABLE, e.name)
	m.name(unix.NFTA_SET_ELEM_LIST_SET, set)
	if id != 0 {
		m.number(unix.NFTA_SET_ELEM_LIST_SET_ID, id)
	}
	return m, m.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
}

// element writes one element; to delete it, its key is enough.
func (m *message) element(el Element, v Value, keyOnly bool) {
	item := m.nest(unix.NFTA_LIST_ELEM)
	key := m.nest(unix.NFTA_SET_ELEM_KEY)
	m.chars(unix.NFTA_DATA_VALUE, el.Key)
	m.close(key)
	if v != NoValue && !keyOnly {
		data := m.nest(unix.NFTA_SET_ELEM_DATA)
		if v == Verdicts {
			verdict, at := el.verdict(), m.nest(unix.NFTA_DATA_VERDICT)
			m.number(unix.NFTA_VERDICT_CODE, verdict.code())
			if verdict.Chain != "" {
				m.name(unix.NFTA_VERDICT_CHAIN, verdict.Chain)
			}
			m.close(at)
		} else {
			m.chars(unix.NFTA_DATA_VALUE, el.Data)
		}
		m.close(data)
	}
	m.close(item)
}

// code is the verdict as the kernel numbers it.
func (v Verdict) code() uint32 {
	kinds := [...]expr.VerdictKind{expr.VerdictContinue, expr.VerdictAccept, expr.VerdictDrop, expr.VerdictJump, expr.VerdictGoto}
	return uint32(int32(kinds[v.Kind]))
}
