package save

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"viplab/modes/packet/rules"
)

// nothing is a target that changes nothing that decides about the packet.
type nothing string

// Apply implements [rules.Action].
func (nothing) Apply(*rules.Tracer, *rules.Packet) (rules.Verdict, bool) { return rules.Pass, false }

// Does implements [rules.Action].
func (n nothing) Does(*rules.Packet) string { return string(n) }

// harmless are targets that change nothing that rules look at here: they log, count, or
// write into parts of packets that no known match reads.
var harmless = []string{"LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "TCPMSS", "TCPOPTSTRIP", "DSCP", "TOS", "TTL", "HL", "ECN",
	"CLASSIFY", "CHECKSUM", "IDLETIMER", "LED", "RATEEST", "SECMARK", "CONNSECMARK"}

// stranger is a target of which is not known what it does.
type stranger string

// Apply implements [rules.Action].
func (s stranger) Apply(t *rules.Tracer, _ *rules.Packet) (rules.Verdict, bool) {
	return t.Halt(string(s))
}

// Does implements [rules.Action].
func (s stranger) Does(*rules.Packet) string { return "not known: " + string(s) }

// deed is a target that changes the packet.
type deed struct {
	apply func(t *rules.Tracer, p *rules.Packet) (rules.Verdict, bool)
	does  func(p *rules.Packet) string
}

// Apply implements [rules.Action].
func (d deed) Apply(t *rules.Tracer, p *rules.Packet) (rules.Verdict, bool) { return d.apply(t, p) }

// Does implements [rules.Action].
func (d deed) Does(p *rules.Packet) string { return d.does(p) }

// extensionName is how names of targets look; chains whose names look so too are declared.
var extensionName = regexp.MustCompile(`^[A-Z0-9_]+$`)

// extension makes a target that is no chain.
func (b *builder) extension(m block) error {
	if !extensionName.MatchString(m.name) {
		return fmt.Errorf("a jump to chain %s, which table %s has not declared", cut(m.name), b.reader.open.Name)
	}
	b.Target = rules.Other
	switch m.name {
	case "ACCEPT":
		b.Target = rules.Accept
	case "DROP":
		b.Target = rules.Drop
	case "RETURN":
		b.Target = rules.Return
	case "REJECT":
		b.Target = rules.Reject
	case "MASQUERADE":
		b.Target = rules.Masquerade
	case "NOTRACK":
		b.Foreign.Action = untracked()
	default:
		if slices.Contains(harmless, m.name) {
			b.Foreign.Action = nothing("goes on: " + m.name + " changes nothing that decides here")
			return nil
		}
		if known, ok := targets[m.name]; !ok || !known(b, m) {
			b.Target, b.Foreign.Action = rules.Other, stranger("-j "+m.text())
		}
	}
	return nil
}

// targets make the targets that have options; false says that one of them is not known.
var targets = map[string]func(*builder, block) bool{
	"MARK": setMark, "CONNMARK": setConnMark, "DNAT": dnat, "SNAT": snat, "REDIRECT": redirect, "CT": track,
}

// setMark is -j MARK.
func setMark(b *builder, m block) bool {
	if len(m.options) != 1 {
		return false
	}
	value, mask, ok := change(m.options[0])
	switch {
	case !ok:
		return false
	case value == mask:
		b.Target, b.Mark = rules.OrMark, value
	case mask == 0:
		b.Target, b.Mark = rules.XorMark, value
	default:
		b.Foreign.Action = deed{
			func(_ *rules.Tracer, p *rules.Packet) (rules.Verdict, bool) {
				p.Mark = p.Mark&^mask ^ value
				return rules.Pass, false
			},
			func(p *rules.Packet) string { return fmt.Sprintf("gets mark %#x", p.Mark) },
		}
	}
	return true
}

// change is a change of a mark: the bits of mask are taken away, those of value turned.
func change(o option) (value, mask uint32, ok bool) {
	value, mask, ok = masked32(o.value())
	switch o.name {
	case "--set-xmark":
	case "--set-mark":
		mask |= value
	case "--or-mark":
		mask = value
	case "--xor-mark":
		mask = 0
	case "--and-mark":
		value, mask = 0, ^value
	default:
		ok = false
	}
	return value, mask, ok
}

// setConnMark is -j CONNMARK: the mark of the flow, which it keeps, and that of the packet.
func setConnMark(b *builder, m block) bool {
	nfmask, ctmask, what := ^uint32(0), ^uint32(0), ""
	var value, mask uint32
	for _, o := range m.options {
		n, err := strconv.ParseUint(o.value(), 0, 32)
		switch o.name {
		case "--save-mark", "--restore-mark":
			what, err = o.name, nil
		case "--nfmask":
			nfmask = uint32(n)
		case "--ctmask":
			ctmask = uint32(n)
		case "--mask":
			nfmask, ctmask = uint32(n), uint32(n)
		default:
			var ok bool
			if value, mask, ok = change(o); !ok {
				return false
			}
			what, err = "", nil
		}
		if err != nil {
			return false
		}
	}
	b.Foreign.Action = deed{
		func(_ *rules.Tracer, p *rules.Packet) (rules.Verdict, bool) {
			if !p.Tracked() {
				return rules.Pass, false
			}
			switch what {
			case "--save-mark":
				p.ConnMark = p.ConnMark&^ctmask ^ p.Mark&nfmask
			case "--restore-mark":
				p.Mark = p.Mark&^nfmask ^ p.ConnMark&ctmask
			default:
				p.ConnMark = p.ConnMark&^mask ^ value
			}
			return rules.Pass, false
		},
		func(p *rules.Packet) string { return fmt.Sprintf("has mark %#x, its flow %#x", p.Mark, p.ConnMark) },
	}
	return true
}

// dnat is -j DNAT to one address, one port or both. Of ranges the kernel chooses, so that
// nobody can tell.
func dnat(b *builder, m block) bool {
	text, ok := only(m, "--to-destination")
	if !ok {
		return false
	}
	if to, err := netip.ParseAddrPort(text); err == nil {
		b.Target, b.To = rules.DNAT, to
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	port, isPort := strings.CutPrefix(text, ":")
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil && (!isPort || err2 != nil) {
		return false
	}
	b.Foreign.Action = rewriting(func(p *rules.Packet) netip.AddrPort {
		if err == nil {
			return netip.AddrPortFrom(addr, p.Dst.Port())
		}
		return netip.AddrPortFrom(p.Dst.Addr(), uint16(n))
	})
	return true
}

// rewriting gives packets another destination.
func rewriting(to func(p *rules.Packet) netip.AddrPort) deed {
	return deed{
		func(_ *rules.Tracer, p *rules.Packet) (rules.Verdict, bool) {
			p.Dst, p.Redirected = to(p), true
			return rules.Rewrote, true
		},
		func(p *rules.Packet) string { return "gets destination " + p.Dst.String() },
	}
}

// only is the value of the one option that decides; those that say how the kernel chooses a
// port for what two flows would share may stand beside it.
func only(m block, name string) (text string, ok bool) {
	for _, o := range m.options {
		switch o.name {
		case name:
			if ok {
				return "", false
			}
			text, ok = o.value(), true
		case "--random", "--random-fully", "--persistent":
		default:
			return "", false
		}
	}
	return text, ok
}

// snat is -j SNAT. To what port does not matter.
func snat(b *builder, m block) bool {
	text, ok := only(m, "--to-source")
	if !ok {
		return false
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		host, _, _ := strings.Cut(text, "]:")
		if !strings.HasPrefix(text, "[") {
			host, _, _ = strings.Cut(text, ":")
		}
		if addr, err = netip.ParseAddr(strings.TrimPrefix(host, "[")); err != nil {
			return false
		}
	}
	b.Foreign.Action = deed{
		func(t *rules.Tracer, p *rules.Packet) (rules.Verdict, bool) {
			t.Source = addr
			p.Src = netip.AddrPort{}
			return rules.Rewrote, true
		},
		func(*rules.Packet) string { return "gets source " + addr.String() },
	}
	return true
}

// redirect is -j REDIRECT: to the node itself, at the address of the device by which the
// packet came in, or at loopback's.
func redirect(b *builder, m block) bool {
	text, ok := only(m, "--to-ports")
	if !ok && len(m.options) > 0 {
		return false
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if ok && err != nil {
		return false
	}
	b.Foreign.Action = deed{
		func(t *rules.Tracer, p *rules.Packet) (rules.Verdict, bool) {
			to := t.Node
			if p.In == rules.NoDevice {
				to = loopback(p.Dst.Addr().Is6())
			}
			at := uint16(port)
			if !ok {
				at = p.Dst.Port()
			}
			p.Dst, p.Redirected = netip.AddrPortFrom(to, at), true
			return rules.Rewrote, true
		},
		func(p *rules.Packet) string { return "gets destination " + p.Dst.String() + " on this node" },
	}
	return true
}

func loopback(six bool) netip.Addr {
	if six {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// track is -j CT. What concerns helpers and events changes nothing here; zones do.
func track(b *builder, m block) bool {
	b.Foreign.Action = nothing("goes on: CT changes nothing that decides here")
	for _, o := range m.options {
		switch o.name {
		case "--notrack":
			b.Foreign.Action = untracked()
		case "--helper", "--ctevents", "--expevents", "--timeout":
		default:
			return false
		}
	}
	return true
}

// untracked keeps the packet from conntrack, and so from nat, if it was not seen there yet.
func untracked() deed {
	return deed{
		func(_ *rules.Tracer, p *rules.Packet) (rules.Verdict, bool) {
			p.Untrack()
			return rules.Pass, false
		},
		func(*rules.Packet) string { return "is not tracked by conntrack, so that nat does not see it" },
	}
}
