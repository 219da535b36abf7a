package nft

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"viplab/modes/packet/rules"
)

// value is what an expression gives: a number, an address, a word, or several of them.
type value struct {
	kind kind
	// n is the number; of a word, that which stands for it where nft writes no names (-n, or
	// protocols without /etc/protocols), 0 for none.
	n    uint64
	addr netip.Addr
	text string
	list []value
	// drawn is set for a number that chance drew, or a hash.
	drawn bool
}

type kind uint8

const (
	number kind = iota
	address
	word
	concat
	addressType // of which text is a name: "local", or "" where it is known only that it is not that
)

// symbols are the names of bits: of the states and statuses of flows, of TCP's flags.
var symbols = map[string]uint64{
	"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64,
	"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512,
	"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128,
	"original": 0, "reply": 1,
}

// name is the value as elements are found by it.
func (v value) name() string {
	switch v.kind {
	case number:
		return strconv.FormatUint(v.n, 10)
	case address:
		return v.addr.String()
	case concat:
		names := make([]string, len(v.list))
		for i, part := range v.list {
			names[i] = part.name()
		}
		return strings.Join(names, " . ")
	}
	return v.text
}

// names are all names by which elements with the value are found: numbers in place of words too.
func (v value) names() []string {
	switch {
	case v.kind == word && v.n != 0:
		return []string{v.text, strconv.FormatUint(v.n, 10), strconv.FormatUint(swapped(v.n), 10)}
	case v.kind != concat:
		return []string{v.name()}
	}
	out := []string{""}
	for i, part := range v.list {
		var longer []string
		for _, begin := range out {
			if i > 0 {
				begin += " . "
			}
			for _, name := range part.names() {
				longer = append(longer, begin+name)
			}
		}
		out = longer
	}
	return out
}

// swapped is a number of 16 bits in the other byte order: nft writes the protocol of a
// frame as the bytes in the packet are to the node's processor, 8 for 0x0800.
func swapped(n uint64) uint64 { return uint64(bits.ReverseBytes16(uint16(n))) }

// vague tells whether a value, or a part of it, is known only not to be some.
func (v value) vague() bool {
	return v.kind == addressType || slices.ContainsFunc(v.list, value.vague)
}

// maxWords is how many parts with several names a value may have to be found by its names.
const maxWords = 4

// words is how many parts of a value have several names.
func (v value) words() (n int) {
	if v.kind == word && v.n != 0 {
		return 1
	}
	for _, part := range v.list {
		n += part.words()
	}
	return n
}

// constant is an element or operand that stands for one value.
func constant(e any) (v value, ok bool) {
	switch e := e.(type) {
	case float64:
		return value{kind: number, n: uint64(e)}, e >= 0 && e == float64(uint64(e))
	case string:
		if n, ok := symbols[e]; ok {
			return value{kind: number, n: n}, true
		}
		if a, err := netip.ParseAddr(e); err == nil {
			return value{kind: address, addr: a}, true
		}
		if strings.HasPrefix(e, "@") || strings.HasSuffix(e, "*") {
			return v, false
		}
		return value{kind: word, text: protocolName(e)}, true
	case map[string]any:
		parts, ok := e["concat"].([]any)
		if !ok || len(parts) == 0 {
			return v, false
		}
		v.kind = concat
		for _, part := range parts {
			one, ok := constant(bare(part))
			if !ok {
				return v, false
			}
			v.list = append(v.list, one)
		}
		return v, true
	}
	return v, false
}

// protocolName is the name by which packets have a protocol.
func protocolName(s string) string {
	return map[bool]string{true: "icmpv6", false: s}[s == "ipv6-icmp"]
}

// exact is the name of an element that holds one value.
func exact(e any) (string, bool) {
	v, ok := constant(e)
	return v.name(), ok
}

// find looks a value up. What elements nobody can read leave open is not known.
func (e *elements) find(v value) (el element, out rules.Truth) {
	if !v.vague() && v.words() <= maxWords {
		for _, name := range v.names() {
			if el, ok := e.exact[name]; ok {
				return el, rules.Yes
			}
		}
		// A map that was made without the nft tool is listed with its numbers in the other
		// byte order. Those are too large to be drawn, so that there is no doubt.
		if v.drawn {
			if el, ok := e.exact[strconv.FormatUint(uint64(bits.ReverseBytes32(uint32(v.n))), 10)]; ok {
				return el, rules.Yes
			}
		}
	} else {
		for _, el := range e.exact {
			if out = worse(out, holds(v, el.key)); out == rules.Yes {
				return el, out
			}
		}
	}
	var all element
	for _, el := range e.wide {
		if el.key == "*" {
			all = el
			continue
		}
		switch is := holds(v, el.key); is {
		case rules.Yes:
			return el, is
		case rules.Unknown:
			out = is
		}
	}
	if all.key != nil && out == rules.No {
		return all, rules.Yes
	}
	return element{}, out
}

func worse(a, b rules.Truth) rules.Truth {
	if b == rules.No {
		return a
	}
	return b
}

// holds tells whether a value is, or is in, an element or operand.
func holds(v value, e any) rules.Truth {
	switch e := e.(type) {
	case string:
		if begin, ok := strings.CutSuffix(e, "*"); ok && v.kind == word {
			return rules.True(strings.HasPrefix(v.text, begin))
		}
	case map[string]any:
		switch {
		case e["prefix"] != nil:
			return inPrefix(v, e["prefix"])
		case e["range"] != nil:
			return inRange(v, e["range"])
		case e["concat"] != nil:
			return inAll(v, e["concat"])
		case e["set"] != nil:
			list, _ := e["set"].([]any)
			_, is := indexOf(list, false).find(v)
			return is
		}
		return rules.Unknown
	}
	c, ok := constant(e)
	switch {
	case !ok:
		return rules.Unknown
	case v.kind == addressType:
		if name := c.addressType(); name == v.text || v.text == "" && name != "local" && name != "multicast" {
			return map[bool]rules.Truth{true: rules.Yes, false: rules.Unknown}[v.text != ""]
		}
		return rules.No
	case c.kind == number && v.kind == word:
		if v.n == 0 {
			return rules.Unknown // such as a device by its index
		}
		return rules.True(c.n == v.n || c.n == swapped(v.n))
	}
	return rules.True(c.name() == v.name())
}

// addressType is the name of a type of addresses, which nft writes as a number with -n
// (RTN_LOCAL and so on): of the types that can be told from others.
func (v value) addressType() string {
	if v.kind == number {
		return map[uint64]string{2: "local", 5: "multicast"}[v.n]
	}
	return v.text
}

// protocolNumber is a protocol's number, 0 if it is none that packets have.
func protocolNumber(name string) uint64 {
	return map[string]uint64{"tcp": 6, "udp": 17, "sctp": 132}[name]
}

func inPrefix(v value, e any) rules.Truth {
	m, _ := e.(map[string]any)
	text, _ := m["addr"].(string)
	bits, isNumber := m["len"].(float64)
	a, err := netip.ParseAddr(text)
	if err != nil || !isNumber || v.kind != address {
		return rules.Unknown
	}
	p, err := a.Prefix(int(bits))
	if err != nil {
		return rules.Unknown
	}
	return rules.True(p.Contains(v.addr))
}

func inRange(v value, e any) rules.Truth {
	pair, _ := e.([]any)
	if len(pair) != 2 {
		return rules.Unknown
	}
	from, ok := constant(pair[0])
	to, ok2 := constant(pair[1])
	if !ok || !ok2 || from.kind != v.kind || to.kind != v.kind {
		return rules.Unknown
	}
	switch v.kind {
	case number:
		return rules.True(from.n <= v.n && v.n <= to.n)
	case address:
		return rules.True(from.addr.Compare(v.addr) <= 0 && v.addr.Compare(to.addr) <= 0)
	}
	return rules.Unknown
}

// inAll holds each part of a value against its part of an element.
func inAll(v value, e any) rules.Truth {
	parts, _ := e.([]any)
	if v.kind != concat || len(parts) != len(v.list) {
		return rules.Unknown
	}
	out := rules.Yes
	for i, part := range parts {
		switch holds(v.list[i], bare(part)) {
		case rules.No:
			return rules.No
		case rules.Unknown:
			out = rules.Unknown
		}
	}
	return out
}

// bitsOf is what an operand gives as a number: names of bits may be listed.
func bitsOf(e any) (n uint64, ok bool) {
	switch e := e.(type) {
	case []any:
		return anyOf(e)
	case map[string]any:
		if list, isList := e["|"].([]any); isList {
			return anyOf(list)
		}
		return 0, false
	}
	c, ok := constant(e)
	return c.n, ok && c.kind == number
}

func anyOf(list []any) (out uint64, ok bool) {
	for _, e := range list {
		n, ok := bitsOf(e)
		if !ok {
			return 0, false
		}
		out |= n
	}
	return out, len(list) > 0
}

// say is the value for people.
func (v value) say() string {
	if v.kind == number && v.n > 0xffff {
		return fmt.Sprintf("%#x", v.n)
	}
	return v.name()
}
