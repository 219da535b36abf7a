package save

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// when is a match of what is known of every packet.
type when func(p *rules.Packet) bool

// Holds implements [rules.Match].
func (w when) Holds(_ *rules.Tracer, p *rules.Packet) rules.Truth { return rules.True(w(p)) }

// judge is a match that needs more than the packet.
type judge func(t *rules.Tracer, p *rules.Packet) rules.Truth

// Holds implements [rules.Match].
func (j judge) Holds(t *rules.Tracer, p *rules.Packet) rules.Truth { return j(t, p) }

// unsure is a match of which is not known whether it holds.
type unsure string

// Holds implements [rules.Match].
func (u unsure) Holds(t *rules.Tracer, _ *rules.Packet) rules.Truth { return t.Unsure(string(u)) }

// matches make the matches that are known; false says that an option is not.
var matches = map[string]func(*builder, block) bool{
	"comment": func(*builder, block) bool { return true },
	"nfacct":  func(*builder, block) bool { return true }, // it counts, and always holds
	"tcp":     ports, "udp": ports, "sctp": ports, "multiport": multiport,
	"mark": mark, "connmark": connmark, "conntrack": conntrack, "state": conntrack,
	"addrtype": addrtype, "set": set, "statistic": statistic, "recent": recent, "iprange": iprange, "ipvs": virtual,
}

// span is a range of ports, both ends included.
type span struct{ first, last uint16 }

// spans reads a list of ports and ranges: "80,443,8000:8080".
func spans(text string) (out []span, ok bool) {
	for _, part := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		if first == "" {
			first = "0"
		}
		if last == "" {
			last = "65535"
		}
		a, err := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err != nil || err2 != nil {
			return nil, false
		}
		out = append(out, span{uint16(a), uint16(b)})
	}
	return out, true
}

// has tells whether a port is in one of some ranges.
func has(list []span, port uint16) bool {
	return slices.ContainsFunc(list, func(s span) bool { return s.first <= port && port <= s.last })
}

// ports is -m tcp, udp and sctp.
func ports(b *builder, m block) bool {
	for _, o := range m.options {
		switch o.name {
		case "--dport", "--destination-port", "--sport", "--source-port":
			list, ok := spans(o.value())
			if !ok {
				return false
			}
			src := o.name == "--sport" || o.name == "--source-port"
			if one := list[0]; !src && !o.not && len(list) == 1 && one.first == one.last && one.first != 0 && b.DPort == 0 {
				b.DPort = one.first
				continue
			}
			b.add(when(func(p *rules.Packet) bool { return has(list, side(p, src).Port()) != o.not }))
		case "--syn":
			b.add(flags{mask: syn | rst | ack | fin, want: syn, not: o.not})
		case "--tcp-flags":
			f, ok := parseFlags(o)
			if !ok {
				return false
			}
			b.add(f)
		default:
			return false
		}
	}
	return true
}

// Flags of TCP.
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
	urg
)

var flagNames = map[string]uint8{"FIN": fin, "SYN": syn, "RST": rst, "PSH": psh, "ACK": ack, "URG": urg, "ALL": fin | syn | rst | psh | ack | urg, "NONE": 0}

// flags are those of TCP that are looked at, and those of them that are to be set. A flow's
// first packet has SYN alone.
type flags struct {
	mask, want uint8
	not        bool
}

// Holds implements [rules.Match].
func (f flags) Holds(t *rules.Tracer, p *rules.Packet) rules.Truth {
	if p.Later {
		return t.Unsure("the flags of a packet that is not the first of its flow")
	}
	return rules.True((syn&f.mask == f.want) != f.not)
}

func parseFlags(o option) (f flags, ok bool) {
	if len(o.values) != 2 {
		return f, false
	}
	read := func(text string) (out uint8, ok bool) {
		for _, name := range strings.Split(text, ",") {
			bits, known := flagNames[name]
			if !known {
				return 0, false
			}
			out |= bits
		}
		return out, true
	}
	mask, ok := read(o.values[0].text)
	want, ok2 := read(o.values[1].text)
	return flags{mask, want, o.not}, ok && ok2
}

func multiport(b *builder, m block) bool {
	for _, o := range m.options {
		list, ok := spans(o.value())
		if !ok {
			return false
		}
		var test func(p *rules.Packet) bool
		switch o.name {
		case "--dports", "--destination-ports":
			test = func(p *rules.Packet) bool { return has(list, p.Dst.Port()) }
		case "--sports", "--source-ports":
			test = func(p *rules.Packet) bool { return has(list, p.Src.Port()) }
		case "--ports":
			test = func(p *rules.Packet) bool { return has(list, p.Dst.Port()) || has(list, p.Src.Port()) }
		default:
			return false
		}
		b.add(when(func(p *rules.Packet) bool { return test(p) != o.not }))
	}
	return true
}

// masked32 reads VALUE or VALUE/MASK.
func masked32(text string) (value, mask uint32, ok bool) {
	v, m, has := strings.Cut(text, "/")
	if !has {
		m = "0xffffffff"
	}
	a, err := strconv.ParseUint(v, 0, 32)
	c, err2 := strconv.ParseUint(m, 0, 32)
	return uint32(a), uint32(c), err == nil && err2 == nil
}

func mark(b *builder, m block) bool {
	return marks(b, m, func(p *rules.Packet) uint32 { return p.Mark }, true)
}

func connmark(b *builder, m block) bool {
	return marks(b, m, func(p *rules.Packet) uint32 { return p.ConnMark }, false)
}

func marks(b *builder, m block, of func(*rules.Packet) uint32, packet bool) bool {
	for _, o := range m.options {
		value, mask, ok := masked32(o.value())
		if !ok || o.name != "--mark" {
			return false
		}
		switch {
		case packet && value == mask && value != 0 && o.not && b.NotMark == 0:
			b.NotMark = value
		case packet && value == mask && value != 0 && !o.not && b.HasMark == 0:
			b.HasMark = value
		default:
			b.add(when(func(p *rules.Packet) bool { return (packet || p.Tracked()) && (of(p)&mask == value) != o.not }))
		}
	}
	return true
}

// statistic is a draw: at random, or each so-manieth packet, of which nobody knows which
// one it is.
func statistic(b *builder, m block) bool {
	probability, every := -1.0, 0.0
	not := false
	for _, o := range m.options {
		n, err := strconv.ParseFloat(o.value(), 64)
		switch {
		case o.name == "--mode":
			continue
		case err != nil || math.IsNaN(n):
			return false
		case o.name == "--probability":
			probability = n
		case o.name == "--every":
			every = n
		case o.name != "--packet":
			return false
		}
		not = not || o.not
	}
	if every >= 1 {
		probability = 1 / every
	}
	if not {
		probability = 1 - probability
	}
	switch r := math.Round(1 / probability); {
	case probability < 0 || probability > 1:
		return false
	case probability == 0:
		b.add(when(func(*rules.Packet) bool { return false }))
	case r <= math.MaxUint16 && math.Abs(probability-1/r) < 1e-9:
		b.Chance = uint32(r)
	default:
		b.Foreign.Chance = probability
	}
	return true
}

// listPrefix is how the names of kube-proxy's lists of clients begin: each is that of the
// chain of an endpoint.
const listPrefix = "KUBE-SEP-"

// recent is a list of clients. Who is in it no dump tells: of those of kube-proxy the
// tracer is told which endpoint the client had.
func recent(b *builder, m block) bool {
	list, seconds, asks := "", uint64(1), false
	for _, o := range m.options {
		switch o.name {
		case "--name":
			list = o.value()
		case "--set", "--reap", "--rsource", "--mask":
		case "--rcheck", "--update":
			asks = true
		case "--seconds":
			n, err := strconv.ParseUint(o.value(), 10, 32)
			if err != nil {
				return false
			}
			seconds = max(1, n)
		default:
			return false
		}
		if o.not {
			return false
		}
	}
	if !asks {
		return true // the client is put into the list
	}
	if !strings.HasPrefix(list, listPrefix) {
		return false
	}
	b.Recent, b.Seconds = list, uint32(seconds)
	return true
}

func iprange(b *builder, m block) bool {
	for _, o := range m.options {
		from, to, _ := strings.Cut(o.value(), "-")
		first, err := netip.ParseAddr(from)
		last, err2 := netip.ParseAddr(to)
		if err != nil || err2 != nil || o.name != "--src-range" && o.name != "--dst-range" {
			return false
		}
		src := o.name == "--src-range"
		b.add(when(func(p *rules.Packet) bool {
			a := side(p, src).Addr()
			return (first.Compare(a) <= 0 && a.Compare(last) <= 0) != o.not
		}))
	}
	return true
}

// virtual is -m ipvs.
func virtual(b *builder, m block) bool {
	at := map[string]string{}
	for _, o := range m.options {
		if o.not {
			return false
		}
		at[o.name] = o.value()
	}
	proto := at["--vproto"]
	if p, ok := protocols[proto]; ok {
		proto = p
	}
	addr, err := netip.ParseAddr(at["--vaddr"])
	port, err2 := strconv.ParseUint(at["--vport"], 10, 16)
	if err != nil || err2 != nil || len(at) != 3 || modes.Protocol(proto).Number() == 0 || b.Proto != "" {
		return false
	}
	b.Virtual, b.Proto, b.To = true, modes.Protocol(proto), netip.AddrPortFrom(addr, uint16(port))
	return true
}

func set(b *builder, m block) bool {
	for _, o := range m.options {
		if o.name != "--match-set" || len(o.values) != 2 {
			return false
		}
		b.add(setMatch{b.reader.Sets, o.values[0].text, o.values[1].text, o.not})
	}
	return true
}
