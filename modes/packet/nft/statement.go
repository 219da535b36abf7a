package nft

import (
	"fmt"
	"net/netip"
	"strings"

	"viplab/modes/packet/rules"
)

const notThere = "is not in it"

// statement does one thing that a rule does, and says what that was.
func (w *walk) statement(name string, arg any, s map[string]any) (verdict, string) {
	switch name {
	case "counter", "log", "last", "ct helper", "ct timeout", "ct expectation", "secmark", "comment":
		return verdict{}, ""
	case "accept", "drop", "return", "continue", "jump", "goto":
		return w.verdict(s)
	case "reject":
		return finally(rules.Rejected), "is refused by ICMP"
	case "vmap":
		return w.vmap(arg, s)
	case "mangle":
		return w.mangle(arg, s)
	case "dnat", "snat", "redirect", "masquerade":
		return w.nat(name, arg, s)
	case "notrack":
		w.p.Untrack()
		return verdict{}, "is not tracked by conntrack, so that nat does not see it"
	case "set", "map":
		m, _ := arg.(map[string]any)
		in, _ := m[name].(string)
		return verdict{}, "is remembered in " + strings.TrimPrefix(in, "@")
	case "flow":
		// The kernel takes only flows that are under way.
		return verdict{}, "later packets of the flow may see no rule (flowtable " + strings.TrimPrefix(field(arg, "flowtable"), "@") + ")"
	}
	return w.unknown(s)
}

// unknown stops at a statement of which is not known what it does.
func (w *walk) unknown(s map[string]any) (verdict, string) {
	why := text(s)
	if _, ok := s["xt"]; ok {
		why += ", a rule of iptables-nft: add what iptables-save writes"
	}
	end, _ := w.Halt(why)
	return finally(end), "not known: " + w.Stop
}

// verdict reads a verdict, of a rule or of a map.
func (w *walk) verdict(e any) (verdict, string) {
	m, _ := e.(map[string]any)
	name, arg := statementOf(m)
	to := field(arg, "target")
	switch name {
	case "accept":
		return finally(rules.Accepted), "past the rest of the chain's hook"
	case "drop":
		return finally(rules.Dropped), "is dropped"
	case "return":
		return verdict{kind: back}, "goes back"
	case "continue":
		return verdict{kind: skip}, "goes on"
	case "jump":
		return verdict{kind: jump, chain: to}, "goes to chain " + to
	case "goto":
		return verdict{kind: goTo, chain: to}, "goes to chain " + to
	}
	return w.unknown(m)
}

// data looks a key up in a map.
func (w *walk) data(arg any) (el element, is rules.Truth) {
	m, _ := arg.(map[string]any)
	key, is := w.eval(m["key"])
	if is != rules.Yes {
		return el, is
	}
	w.Sets++
	switch d := m["data"].(type) {
	case string:
		s := w.table.sets[strings.TrimPrefix(d, "@")]
		if s == nil {
			return el, w.Unsure("map " + d + ", which is not in the dump")
		}
		el, is = s.elements().find(key)
	case map[string]any:
		list, _ := d["set"].([]any)
		el, is = indexOf(list, true).find(key)
	default:
		return el, w.Unsure(text(arg))
	}
	if is == rules.Unknown {
		w.Unsure("whether " + key.say() + " is in " + text(m["data"]))
	}
	return el, is
}

func (w *walk) vmap(arg any, s map[string]any) (verdict, string) {
	el, is := w.data(arg)
	switch is {
	case rules.No:
		return verdict{kind: skip}, notThere
	case rules.Unknown:
		return w.unknown(s)
	}
	return w.verdict(el.data)
}

// lookup is a map in an expression.
func (w *walk) lookup(_, arg any) (value, rules.Truth) {
	el, is := w.data(arg)
	if is != rules.Yes {
		return value{}, is
	}
	return w.eval(bare(el.data))
}

// mangle writes a mark, or something that no rule reads here.
func (w *walk) mangle(arg any, s map[string]any) (verdict, string) {
	m, _ := arg.(map[string]any)
	target, _ := m["key"].(map[string]any)
	kind, key := statementOf(target)
	name := field(key, "key")
	switch {
	case kind == "meta" && (name == "nftrace" || name == "priority" || name == "pkttype" || name == "secmark"),
		kind == "ct" && name == "label",
		kind == "tcp option",
		kind == "payload" && (field(key, "field") == "dscp" || field(key, "field") == "ttl" || field(key, "field") == "hoplimit"):
		return verdict{}, ""
	case name != "mark" || kind != "meta" && kind != "ct":
		return w.unknown(s)
	}
	v, is := w.eval(m["value"])
	switch {
	case is == rules.No:
		return verdict{kind: skip}, notThere
	case is == rules.Unknown || v.kind != number:
		return w.unknown(s)
	case kind == "ct" && !w.p.Tracked():
		return verdict{}, ""
	case kind == "ct":
		w.p.ConnMark = uint32(v.n)
		return verdict{}, fmt.Sprintf("its flow gets mark %#x", v.n)
	}
	w.p.Mark = uint32(v.n)
	return verdict{}, fmt.Sprintf("gets mark %#x", v.n)
}

// nat rewrites an address.
func (w *walk) nat(name string, arg any, s map[string]any) (verdict, string) {
	if name == "masquerade" {
		w.p.Src = netip.AddrPort{}
		return finally(rules.Rewrote), "gets the node's address as its source"
	}
	m, _ := arg.(map[string]any)
	to, port := w.p.Dst.Addr(), w.p.Dst.Port()
	if name == "snat" {
		to, port = w.p.Src.Addr(), w.p.Src.Port()
	}
	for _, part := range []string{"addr", "port"} {
		e, ok := m[part]
		if !ok {
			continue
		}
		v, is := w.eval(e)
		if is == rules.No {
			return verdict{kind: skip}, notThere
		}
		list := []value{v}
		if v.kind == concat {
			list = v.list
		}
		for _, v := range list {
			switch {
			case is == rules.Yes && v.kind == address:
				to = v.addr
			case is == rules.Yes && v.kind == number && v.n <= 0xffff:
				port = uint16(v.n)
			default:
				return w.unknown(s)
			}
		}
	}
	switch name {
	case "snat":
		w.Source, w.p.Src = to, netip.AddrPort{}
		return finally(rules.Rewrote), "gets source " + to.String()
	case "redirect":
		if to = w.Node; w.p.In == rules.NoDevice {
			to = map[bool]netip.Addr{false: netip.AddrFrom4([4]byte{127, 0, 0, 1}), true: netip.IPv6Loopback()}[w.six]
		}
	}
	w.p.Dst, w.p.Redirected = netip.AddrPortFrom(to, port), true
	return finally(rules.Rewrote), "gets destination " + w.p.Dst.String()
}
