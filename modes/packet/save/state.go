package save

import (
	"net/netip"
	"slices"
	"strings"

	"viplab/modes/packet/rules"
)

// conntrack is -m conntrack and -m state: what is known of the packet's flow. Of one that is
// not tracked the state alone is looked at, and nothing else holds.
func conntrack(b *builder, m block) bool {
	stateful := slices.ContainsFunc(m.options, func(o option) bool { return o.name == "--ctstate" || o.name == "--state" })
	ofFlow := func(holds func(p *rules.Packet) bool) {
		b.add(when(func(p *rules.Packet) bool {
			if !p.Tracked() {
				return stateful
			}
			return holds(p)
		}))
	}
	for _, o := range m.options {
		switch o.name {
		case "--ctstate", "--state":
			if !b.state(o) {
				return false
			}
		case "--ctproto":
			proto := strings.ToLower(o.value())
			if p, ok := protocols[proto]; ok {
				proto = p
			}
			ofFlow(func(p *rules.Packet) bool { return (string(p.Proto) == proto) != o.not })
		case "--ctorigsrc", "--ctorigdst":
			test, prefix, err := parseAddress(o.value())
			if err != nil {
				return false
			}
			if test == nil {
				test = prefix.Contains
			}
			src := o.name == "--ctorigsrc"
			ofFlow(func(p *rules.Packet) bool { return test(sent(p, src).Addr()) != o.not })
		case "--ctorigsrcport", "--ctorigdstport":
			list, ok := spans(o.value())
			if !ok {
				return false
			}
			src := o.name == "--ctorigsrcport"
			ofFlow(func(p *rules.Packet) bool { return has(list, sent(p, src).Port()) != o.not })
		case "--ctdir":
			ofFlow(func(*rules.Packet) bool { return (o.value() == "ORIGINAL") != o.not })
		case "--ctstatus":
			b.status(o, stateful)
		default:
			return false
		}
	}
	return true
}

// sent is where the packet came from or was sent to at first.
func sent(p *rules.Packet, src bool) netip.AddrPort {
	if src {
		return p.SentFrom
	}
	return p.SentTo
}

// state is --ctstate.
func (b *builder) state(o option) bool {
	text := o.value()
	for _, s := range strings.Split(text, ",") {
		if !slices.Contains([]string{"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT", "SNAT"}, s) {
			return false
		}
	}
	switch {
	case !o.not && b.CTState == "":
		b.CTState = text
	case o.not && b.NotCTState == "":
		b.NotCTState = text
	default:
		b.add(when(func(p *rules.Packet) bool { return p.InState(text) != o.not }))
	}
	return true
}

// status is --ctstatus. A flow whose first packet is under way has none.
func (b *builder) status(o option, stateful bool) {
	none := slices.Contains(strings.Split(o.value(), ","), "NONE")
	b.add(judge(func(t *rules.Tracer, p *rules.Packet) rules.Truth {
		if !p.Tracked() {
			return rules.True(stateful)
		}
		if p.Later {
			return t.Unsure("--ctstatus of a flow that is not new")
		}
		return rules.True(none != o.not)
	}))
}

// addrtype is what the node's routes say of an address.
func addrtype(b *builder, m block) bool {
	limited := slices.ContainsFunc(m.options, func(o option) bool { return strings.HasPrefix(o.name, "--limit-iface") })
	for _, o := range m.options {
		src := o.name == "--src-type"
		switch {
		case strings.HasPrefix(o.name, "--limit-iface"):
		case !src && o.name != "--dst-type":
			return false
		case src && o.value() == "LOCAL" && !o.not && !limited:
			b.SrcLocal = true
		case o.value() == "LOCAL" && !o.not && !limited:
			b.DstLocal = true
		default:
			b.add(typeMatch{strings.Split(o.value(), ","), src, o.not, limited})
		}
	}
	return true
}

// typeMatch holds where an address is of one of some types.
type typeMatch struct {
	types    []string
	src, not bool
	limited  bool // to the addresses of the packet's device
}

// Holds implements [rules.Match].
func (m typeMatch) Holds(t *rules.Tracer, p *rules.Packet) rules.Truth {
	out := rules.No
	for _, kind := range m.types {
		switch m.is(t, kind, side(p, m.src).Addr()) {
		case rules.Yes:
			return rules.True(!m.not)
		case rules.Unknown:
			out = rules.Unknown
		}
	}
	if out == rules.Unknown {
		return t.Unsure("-m addrtype " + strings.Join(m.types, ",") + ": which type of address " + side(p, m.src).Addr().String() + " is")
	}
	return rules.True(m.not)
}

// is tells whether an address is of a type. Which addresses are the node's own and which
// are of IP multicast is known; of the rest, routes would have to tell.
func (m typeMatch) is(t *rules.Tracer, kind string, a netip.Addr) rules.Truth {
	local := t.Local != nil && t.Local(a)
	switch {
	case kind == "LOCAL" && local && m.limited:
		return rules.Unknown
	case kind == "LOCAL":
		return rules.True(local)
	case kind == "MULTICAST":
		return rules.True(a.IsMulticast())
	case kind == "UNSPEC":
		return rules.True(a.IsUnspecified())
	case local || a.IsMulticast():
		return rules.No
	case kind == "BROADCAST" && a == limitedBroadcast:
		return rules.Yes
	case kind == "BROADCAST" && a.Is6():
		return rules.No
	}
	return rules.Unknown
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
