package save

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"viplab/modes"
	"viplab/modes/packet/ipset"
	"viplab/modes/packet/rules"
)

// builder makes a rule out of its words.
type builder struct {
	*rules.Rule
	reader *Reader
	block  *block // that options belong to, nil for none
	blocks []block
	at     int // of the target in blocks, -1 for none
}

// rule takes a rule over: "[packets:bytes] -A CHAIN ...".
func (r *Reader) rule(n int, line string) error {
	if line[0] == '[' {
		_, rest, ok := strings.Cut(line, "] ")
		if !ok {
			return fmt.Errorf("%q has counters that do not end", cut(line))
		}
		line = rest
	}
	rest, ok := strings.CutPrefix(line, "-A ")
	if !ok {
		return fmt.Errorf("%q is none of *TABLE, :CHAIN, -A CHAIN and COMMIT", cut(line))
	}
	name, text, _ := strings.Cut(rest, " ")
	c := r.chains[name]
	if c == nil {
		return fmt.Errorf("a rule of chain %s, which table %s has not declared", cut(name), r.open.Name)
	}
	var err error
	if r.words, err = split(r.words[:0], text); err != nil {
		return err
	}
	c.Rules = append(c.Rules, rules.Rule{Foreign: &rules.Foreign{File: r.File, Line: n, Text: text, Chance: 1}})
	b := builder{Rule: &c.Rules[len(c.Rules)-1], reader: r, at: -1}
	if err := b.read(r.words); err != nil {
		return err
	}
	return b.finish()
}

// read cuts the words into matches and the target.
func (b *builder) read(words []word) error {
	not := false
	for i := 0; i < len(words); {
		w := words[i]
		if w.text == "!" && !w.quoted {
			not = true
			i++
			continue
		}
		if w.quoted || !strings.HasPrefix(w.text, "-") {
			return fmt.Errorf("%q stands where an option should", cut(w.text))
		}
		o := option{name: w.text, not: not}
		not = false
		for i++; i < len(words) && !begins(words[i:]); i++ {
			if words[i].text == "!" && !words[i].quoted {
				o.not = true // as old releases wrote it
				continue
			}
			o.values = append(o.values, words[i])
		}
		if err := b.option(o); err != nil {
			return err
		}
	}
	return nil
}

// begins tells whether an option begins here, or a negation before one.
func begins(words []word) bool {
	w := words[0]
	if w.quoted {
		return false
	}
	if w.text == "!" {
		return len(words) > 1 && !words[1].quoted && strings.HasPrefix(words[1].text, "-")
	}
	return len(w.text) > 1 && w.text[0] == '-' && (w.text[1] < '0' || w.text[1] > '9')
}

// option takes one option over: one of the rule itself, or of the match or target before.
func (b *builder) option(o option) error {
	switch o.name {
	case "-s", "--source", "-d", "--destination":
		return b.address(o)
	case "-p", "--protocol":
		b.protocol(o)
		b.blocks = append(b.blocks, block{name: strings.ToLower(o.value()), protocol: true})
		b.block = &b.blocks[len(b.blocks)-1] // its options may follow without -m
	case "-i", "--in-interface", "-o", "--out-interface":
		b.device(o)
	case "-f", "--fragment":
		b.add(when(func(*rules.Packet) bool { return o.not }))
	case "-4", "-6", "-c", "--set-counters":
	case "-m", "--match", "-j", "--jump", "-g", "--goto":
		if o.value() == "" {
			return fmt.Errorf("%s has no name after it: the line was cut off", o.name)
		}
		if kind := strings.TrimLeft(o.name, "-")[0]; kind != 'm' {
			if b.at >= 0 {
				return fmt.Errorf("a rule with two targets, %s and %s", b.blocks[b.at].name, o.value())
			}
			b.at, b.Foreign.Goto = len(b.blocks), kind == 'g'
		}
		b.blocks = append(b.blocks, block{name: o.value()})
		b.block = &b.blocks[len(b.blocks)-1]
	default:
		if b.block == nil {
			return fmt.Errorf("option %s belongs to no match", cut(o.name))
		}
		b.block.options = append(b.block.options, o)
	}
	return nil
}

// finish makes matches and the target of what was read.
func (b *builder) finish() error {
	for i, m := range b.blocks {
		if i == b.at || m.protocol && len(m.options) == 0 {
			continue
		}
		if known, ok := matches[m.name]; !ok || !known(b, m) {
			b.add(unsure("-m " + m.text()))
		}
	}
	if b.at < 0 {
		b.Target, b.Foreign.Action = rules.Other, nothing("is counted, and goes on")
		return nil
	}
	target := b.blocks[b.at]
	if b.reader.chains[target.name] != nil {
		b.Target, b.Chain = rules.Jump, target.name
		return nil
	}
	return b.extension(target)
}

// add adds a match.
func (b *builder) add(m rules.Match) { b.Foreign.Matches = append(b.Foreign.Matches, m) }

// address is -s or -d.
func (b *builder) address(o option) error {
	test, prefix, err := parseAddress(o.value())
	if err != nil {
		return err
	}
	family := modes.FamilyOf(prefix.Addr())
	if b.reader.family == "" {
		b.reader.family = family
	}
	if b.reader.open.Family = cmp.Or(b.reader.open.Family, b.reader.family); b.reader.open.Family != family {
		return fmt.Errorf("%s %s is of the other address family than the dump", o.name, o.value())
	}
	src := o.name == "-s" || o.name == "--source"
	switch {
	case test != nil:
		b.add(when(func(p *rules.Packet) bool { return test(side(p, src).Addr()) != o.not }))
	case src:
		b.Src, b.NotSrc = prefix, o.not
	default:
		b.Dst, b.NotDst = prefix, o.not
	}
	return nil
}

// side is the packet's source or destination. What is masqueraded has no source any more
// that rules would see.
func side(p *rules.Packet, src bool) netip.AddrPort {
	if src {
		return p.Src
	}
	return p.Dst
}

// parseAddress reads an address with a prefix length or a mask. Of a mask with holes it is
// a test.
func parseAddress(text string) (test func(netip.Addr) bool, p netip.Prefix, err error) {
	host, mask, ok := strings.Cut(text, "/")
	a, err := netip.ParseAddr(host)
	if err != nil {
		return nil, p, fmt.Errorf("%q is no address or range", cut(text))
	}
	if !ok {
		return nil, netip.PrefixFrom(a, a.BitLen()), nil
	}
	if bits, err := strconv.Atoi(mask); err == nil {
		if p, err = a.Prefix(bits); err != nil {
			return nil, p, fmt.Errorf("%q is no range", cut(text))
		}
		return nil, p, nil
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || m.BitLen() != a.BitLen() {
		return nil, p, fmt.Errorf("%q is no range", cut(text))
	}
	if bits := ones(m); bits >= 0 {
		p, err = a.Prefix(bits)
		return nil, p, err
	}
	want := masked(a, m)
	return func(a netip.Addr) bool { return a.BitLen() == m.BitLen() && masked(a, m) == want }, netip.PrefixFrom(a, a.BitLen()), nil
}

// ones is the length of a mask's prefix, -1 if it has holes.
func ones(m netip.Addr) int {
	for bits := range m.BitLen() + 1 {
		all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
		if m.Is6() {
			all = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		}
		if p, err := all.Prefix(bits); err == nil && p.Masked().Addr() == m {
			return bits
		}
	}
	return -1
}

func masked(a, mask netip.Addr) netip.Addr {
	b, m := a.AsSlice(), mask.AsSlice()
	for i := range b {
		b[i] &= m[i]
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

// protocol is -p.
func (b *builder) protocol(o option) {
	name := strings.ToLower(o.value())
	if n, ok := protocols[name]; ok {
		name = n
	}
	if name == "all" || name == "0" {
		return
	}
	p := modes.Protocol(name)
	if p.Number() != 0 && !o.not {
		b.Proto = p
		return
	}
	b.add(when(func(packet *rules.Packet) bool { return packet.Proto == p != o.not }))
}

// protocols are the names of those that packets can have, by what dumps call them.
var protocols = map[string]string{"tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp", "sctp": "sctp", "132": "sctp"}

// device is -i or -o.
func (b *builder) device(o option) {
	in := o.name == "-i" || o.name == "--in-interface"
	b.add(deviceMatch{in: in, name: o.value(), not: o.not})
}

// deviceMatch is a device by name, or, with + at its end, by how names begin.
type deviceMatch struct {
	in   bool
	name string
	not  bool
}

// Holds implements [rules.Match].
func (m deviceMatch) Holds(t *rules.Tracer, p *rules.Packet) rules.Truth {
	have, what := p.Out, "-o "+m.name+": by which device the packet goes out is not known"
	if m.in {
		have, what = p.In, "-i "+m.name+": by which device the packet comes in is not known"
	}
	if have == "" {
		return t.Unsure(what)
	}
	begin, any := strings.CutSuffix(m.name, "+")
	is := have == m.name || any && have != rules.NoDevice && strings.HasPrefix(have, begin)
	return rules.True(is != m.not)
}

// setMatch looks a packet up in an ipset.
type setMatch struct {
	sets       ipset.Sets
	name, dirs string
	not        bool
}

// Holds implements [rules.Match].
func (m setMatch) Holds(t *rules.Tracer, p *rules.Packet) rules.Truth {
	t.Sets++
	found, what := m.sets.Find(m.name, m.dirs, p)
	step := modes.Step{Chain: m.name, Text: "look up " + m.dirs, Does: "is not in it"}
	switch found {
	case rules.Yes:
		step.Does = "is in it: " + what
	case rules.Unknown:
		step.Does = "not known: " + what
	}
	t.Steps = append(t.Steps, step)
	if found == rules.Unknown {
		return t.Unsure(what)
	}
	if m.not {
		return found.Not()
	}
	return found
}
