package nft

import (
	"fmt"
	"slices"

	"viplab/modes/packet/rules"
)

// walk is one base chain's part of a packet's way.
type walk struct {
	*rules.Tracer
	p     *rules.Packet
	table *table
	hook  string
	six   bool
	depth int
}

// eval is what an expression gives for the packet. No says that the packet has nothing of
// the kind, which ends the rule.
func (w *walk) eval(e any) (value, rules.Truth) {
	if list, ok := e.([]any); ok {
		n, ok := bitsOf(list)
		if !ok {
			return value{}, w.strange(e)
		}
		return value{kind: number, n: n}, rules.Yes
	}
	if v, ok := constant(e); ok {
		return v, rules.Yes
	}
	m, ok := e.(map[string]any)
	if !ok || len(m) != 1 {
		return value{}, w.strange(e)
	}
	for name, arg := range m {
		switch name {
		case "payload":
			return w.payload(e, arg)
		case "meta":
			return w.meta(e, arg)
		case "ct":
			return w.ct(e, arg)
		case "fib":
			return w.fib(e, arg)
		case "numgen", "jhash", "symhash":
			return w.draw(e, arg)
		case "concat":
			return w.concat(e, arg)
		case "map":
			return w.lookup(e, arg)
		case "&", "|", "^", "<<", ">>":
			return w.arithmetic(e, name, arg)
		}
	}
	return value{}, w.strange(e)
}

// strange is an expression that is not known.
func (w *walk) strange(e any) rules.Truth { return w.Unsure(text(e)) }

// field is a string or number of an expression's arguments.
func field(arg any, name string) string {
	m, _ := arg.(map[string]any)
	switch v := m[name].(type) {
	case string:
		return v
	case float64:
		return fmt.Sprint(v)
	}
	return ""
}

// address is one of the packet's. One that is masqueraded has the node's as its source.
func (w *walk) address(src bool) value {
	switch {
	case !src:
		return value{kind: address, addr: w.p.Dst.Addr()}
	case w.p.Src.IsValid():
		return value{kind: address, addr: w.p.Src.Addr()}
	case w.Source.IsValid():
		return value{kind: address, addr: w.Source}
	}
	return value{kind: address, addr: w.Node}
}

func (w *walk) protocol() value {
	name := string(w.p.Proto)
	return value{kind: word, text: name, n: protocolNumber(name)}
}

// familyWord is the packet's family, as nfproto (NFPROTO_IPV4) or the protocol of its
// frame (ETH_P_IP).
func (w *walk) familyWord(key string) value {
	switch {
	case key == "nfproto" && w.six:
		return value{kind: word, text: "ipv6", n: 10}
	case key == "nfproto":
		return value{kind: word, text: "ipv4", n: 2}
	case w.six:
		return value{kind: word, text: "ip6", n: 0x86dd}
	}
	return value{kind: word, text: "ip", n: 0x0800}
}

func (w *walk) port(src bool) value {
	if src {
		return value{kind: number, n: uint64(w.p.Src.Port())}
	}
	return value{kind: number, n: uint64(w.p.Dst.Port())}
}

// payload reads the packet's headers.
func (w *walk) payload(e, arg any) (value, rules.Truth) {
	header, name := field(arg, "protocol"), field(arg, "field")
	if base := field(arg, "base"); base != "" {
		return w.raw(e, base+" "+field(arg, "offset")+" "+field(arg, "len"))
	}
	switch header {
	case "ip", "ip6":
		if (header == "ip6") != w.six {
			return value{}, rules.No
		}
		switch name {
		case "saddr", "daddr":
			return w.address(name == "saddr"), rules.Yes
		case "protocol", "nexthdr":
			return w.protocol(), rules.Yes
		}
	case "tcp", "udp", "sctp", "dccp", "udplite", "th":
		if header != "th" && header != string(w.p.Proto) {
			return value{}, rules.No
		}
		switch name {
		case "sport", "dport":
			return w.port(name == "sport"), rules.Yes
		case "flags":
			if !w.p.Later {
				return value{kind: number, n: symbols["syn"]}, rules.Yes
			}
		}
	case "icmp", "icmpv6", "igmp", "esp", "ah", "comp", "arp":
		return value{}, rules.No
	}
	return value{}, w.strange(e)
}

// raw reads a header by its bits.
func (w *walk) raw(e any, at string) (value, rules.Truth) {
	switch at {
	case "th 0 16":
		return w.port(true), rules.Yes
	case "th 16 16":
		return w.port(false), rules.Yes
	}
	return value{}, w.strange(e)
}

// meta reads what the kernel notes beside the packet.
func (w *walk) meta(e, arg any) (value, rules.Truth) {
	switch key := field(arg, "key"); key {
	case "l4proto":
		return w.protocol(), rules.Yes
	case "mark":
		return value{kind: number, n: uint64(w.p.Mark)}, rules.Yes
	case "nfproto", "protocol":
		return w.familyWord(key), rules.Yes
	case "iifname":
		return w.device(e, w.p.In)
	case "oifname":
		return w.device(e, w.p.Out)
	case "iif", "oif":
		name := w.p.In
		if key == "oif" {
			name = w.p.Out
		}
		if name == rules.NoDevice {
			return value{}, rules.No
		}
		return w.device(e, name)
	}
	return value{}, w.strange(e)
}

// device is a device's name.
func (w *walk) device(e any, name string) (value, rules.Truth) {
	switch name {
	case "":
		return value{}, w.Unsure(text(e) + ": by which device the packet passes is not known")
	case rules.NoDevice:
		name = ""
	}
	return value{kind: word, text: name}, rules.Yes
}

// ct reads what conntrack knows.
func (w *walk) ct(e, arg any) (value, rules.Truth) {
	name := field(arg, "key")
	if !w.p.Tracked() && name != "state" {
		return value{}, rules.No
	}
	original := field(arg, "dir") == "original"
	switch name {
	case "state":
		state := map[string]string{"NEW": "new", "ESTABLISHED": "established", "RELATED": "related", "INVALID": "invalid", "UNTRACKED": "untracked"}
		return value{kind: number, n: symbols[state[w.p.State]]}, rules.Yes
	case "status":
		return w.status(e)
	case "mark":
		return value{kind: number, n: uint64(w.p.ConnMark)}, rules.Yes
	case "direction":
		return value{kind: number, n: symbols["original"]}, rules.Yes
	case "protocol":
		return w.protocol(), rules.Yes
	case "ip saddr", "ip6 saddr", "ip daddr", "ip6 daddr", "saddr", "daddr":
		if original {
			if src := name[len(name)-5:] == "saddr"; src {
				return value{kind: address, addr: w.p.SentFrom.Addr()}, rules.Yes
			}
			return value{kind: address, addr: w.p.SentTo.Addr()}, rules.Yes
		}
	case "proto-src", "proto-dst":
		if original {
			return value{kind: number, n: uint64(map[bool]uint16{true: w.p.SentFrom.Port(), false: w.p.SentTo.Port()}[name == "proto-src"])}, rules.Yes
		}
	}
	return value{}, w.strange(e)
}

// status is that of a flow which is new: nothing but what nat did.
func (w *walk) status(e any) (value, rules.Truth) {
	if w.p.Later {
		return value{}, w.strange(e)
	}
	n := uint64(0)
	if w.p.Translated() {
		n |= symbols["dnat"]
	}
	if !w.p.Src.IsValid() {
		n |= symbols["snat"]
	}
	return value{kind: number, n: n}, rules.Yes
}

// fib reads what the node's routes say: which addresses are its own.
func (w *walk) fib(e, arg any) (value, rules.Truth) {
	m, _ := arg.(map[string]any)
	var flags []string
	switch list := m["flags"].(type) {
	case string:
		flags = []string{list}
	case []any:
		for _, f := range list {
			name, _ := f.(string)
			flags = append(flags, name)
		}
	}
	src := slices.Contains(flags, "saddr")
	if field(arg, "result") != "type" || !src && !slices.Contains(flags, "daddr") {
		return value{}, w.strange(e)
	}
	a := w.address(src).addr
	kind := ""
	switch {
	case w.Local != nil && w.Local(a):
		if kind = "local"; slices.Contains(flags, "iif") || slices.Contains(flags, "oif") {
			return value{}, w.Unsure(text(e) + ": whether " + a.String() + " is an address of the packet's device")
		}
	case a.IsMulticast():
		kind = "multicast"
	}
	return value{kind: addressType, text: kind}, rules.Yes
}

// draw is a number by chance, or a hash: which, [rules.Tracer.Draw] says.
func (w *walk) draw(e, arg any) (value, rules.Truth) {
	m, _ := arg.(map[string]any)
	mod, ok := m["mod"].(float64)
	offset, _ := m["offset"].(float64)
	if !ok || mod < 1 || mod > 1<<31 || offset < 0 {
		return value{}, w.strange(e)
	}
	return value{kind: number, n: uint64(w.Draw(int(mod))) + uint64(offset), drawn: true}, rules.Yes
}

func (w *walk) concat(e, arg any) (value, rules.Truth) {
	parts, ok := arg.([]any)
	if !ok {
		return value{}, w.strange(e)
	}
	out, unknown, why := value{kind: concat}, false, ""
	for _, part := range parts {
		v, is := w.eval(part)
		if is == rules.No {
			return v, is
		}
		if is == rules.Unknown && !unknown {
			unknown, why = true, w.Why()
		}
		out.list = append(out.list, v)
	}
	if unknown {
		return out, w.Unsure(why)
	}
	return out, rules.Yes
}

// arithmetic combines numbers.
func (w *walk) arithmetic(e any, op string, arg any) (value, rules.Truth) {
	parts, ok := arg.([]any)
	if !ok || len(parts) < 2 {
		return value{}, w.strange(e)
	}
	out, is := w.eval(parts[0])
	for _, part := range parts[1:] {
		if is != rules.Yes {
			return out, is
		}
		var v value
		if v, is = w.eval(part); is != rules.Yes {
			return v, is
		}
		if v.kind != number || out.kind != number {
			return value{}, w.strange(e)
		}
		switch op {
		case "&":
			out.n &= v.n
		case "|":
			out.n |= v.n
		case "^":
			out.n ^= v.n
		case "<<":
			out.n <<= min(v.n, 64)
		case ">>":
			out.n >>= min(v.n, 64)
		}
	}
	return out, is
}
