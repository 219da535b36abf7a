package rules

import (
	"bufio"
	"strconv"
)

// AppendRule appends a rule in iptables-restore's syntax, without the leading
// "-A CHAIN", in the order of matches that kube-proxy writes.
func AppendRule(b []byte, r *Rule) []byte {
	b = appendMatches(b, r)
	b = appendTarget(b, r)
	return b
}

func appendMatches(b []byte, r *Rule) []byte {
	if r.Comment != "" {
		b = append(b, ` -m comment --comment "`...)
		b = append(b, r.Comment...)
		b = append(b, '"')
	}
	if r.Chance > 1 {
		b = append(b, " -m statistic --mode random --probability "...)
		b = strconv.AppendFloat(b, 1/float64(r.Chance), 'f', 10, 64)
	}
	if r.Proto != "" && !r.Virtual {
		b = append(b, " -m "...)
		b = append(b, r.Proto...)
		b = append(b, " -p "...)
		b = append(b, r.Proto...)
	}
	if r.Virtual {
		b = append(b, " -m ipvs --vproto "...)
		b = append(b, r.Proto...)
		b = append(b, " --vaddr "...)
		b = r.To.Addr().AppendTo(b)
		b = append(b, " --vport "...)
		b = strconv.AppendUint(b, uint64(r.To.Port()), 10)
	}
	if r.Dst.IsValid() {
		if r.NotDst {
			b = append(b, " !"...)
		}
		b = append(b, " -d "...)
		b = r.Dst.AppendTo(b)
	}
	if r.DPort != 0 {
		b = append(b, " --dport "...)
		b = strconv.AppendUint(b, uint64(r.DPort), 10)
	}
	if r.Src.IsValid() {
		if r.NotSrc {
			b = append(b, " !"...)
		}
		b = append(b, " -s "...)
		b = r.Src.AppendTo(b)
	}
	if r.DstLocal {
		b = append(b, " -m addrtype --dst-type LOCAL"...)
	}
	if r.SrcLocal {
		b = append(b, " -m addrtype --src-type LOCAL"...)
	}
	b = appendRecent(b, r)
	if r.Set != "" {
		b = append(b, " -m set --match-set "...)
		b = append(b, r.Set...)
		b = append(b, ' ')
		b = append(b, r.SetDirs...)
	}
	if r.NotMark != 0 {
		b = append(b, " -m mark ! --mark "...)
		b = appendMark(b, r.NotMark)
	}
	if r.HasMark != 0 {
		b = append(b, " -m mark --mark "...)
		b = appendMark(b, r.HasMark)
	}
	if r.CTState != "" {
		b = append(b, " -m conntrack --ctstate "...)
		b = append(b, r.CTState...)
	}
	if r.NotCTState != "" {
		b = append(b, " -m conntrack ! --ctstate "...)
		b = append(b, r.NotCTState...)
	}
	return b
}

func appendRecent(b []byte, r *Rule) []byte {
	if r.Recent == "" {
		return b
	}
	b = append(b, " -m recent --name "...)
	b = append(b, r.Recent...)
	if r.Seconds == 0 {
		return append(b, " --set"...)
	}
	b = append(b, " --rcheck --seconds "...)
	b = strconv.AppendUint(b, uint64(r.Seconds), 10)
	return append(b, " --reap"...)
}

func appendMark(b []byte, m uint32) []byte {
	b = append(b, "0x"...)
	b = strconv.AppendUint(b, uint64(m), 16)
	b = append(b, "/0x"...)
	return strconv.AppendUint(b, uint64(m), 16)
}

func appendTarget(b []byte, r *Rule) []byte {
	b = append(b, " -j "...)
	switch r.Target {
	case Jump:
		b = append(b, r.Chain...)
	case Accept:
		b = append(b, "ACCEPT"...)
	case Drop:
		b = append(b, "DROP"...)
	case Return:
		b = append(b, "RETURN"...)
	case Reject:
		b = append(b, "REJECT"...)
	case DNAT:
		b = append(b, "DNAT --to-destination "...)
		b = r.To.AppendTo(b)
	case Redirect:
		b = append(b, "REDIRECT --to-ports "...)
		b = strconv.AppendUint(b, uint64(r.To.Port()), 10)
	case Masquerade:
		b = append(b, "MASQUERADE --random-fully"...)
	case OrMark:
		b = append(b, "MARK --or-mark 0x"...)
		b = strconv.AppendUint(b, uint64(r.Mark), 16)
	case XorMark:
		b = append(b, "MARK --xor-mark 0x"...)
		b = strconv.AppendUint(b, uint64(r.Mark), 16)
	}
	return b
}

// writer writes restore text. Errors of the underlying writer stick.
type writer struct {
	w     *bufio.Writer
	line  []byte
	rules int
	err   error
}

func (w *writer) flush() {
	if w.err == nil {
		_, w.err = w.w.Write(w.line)
	}
	w.line = w.line[:0]
}

func (w *writer) text(parts ...string) {
	for _, p := range parts {
		w.line = append(w.line, p...)
	}
	w.flush()
}

func (w *writer) declare(chain string) { w.text(":", chain, " - [0:0]\n") }

func (w *writer) remove(chain string) { w.text("-X ", chain, "\n") }

func (w *writer) add(chain string, r *Rule) { w.rule("-A ", chain, r) }

func (w *writer) deleteRule(chain string, r *Rule) { w.rule("-D ", chain, r) }

func (w *writer) rule(verb, chain string, r *Rule) {
	w.line = append(append(w.line, verb...), chain...)
	w.line = append(AppendRule(w.line, r), '\n')
	w.flush()
	w.rules++
}

func (w *writer) insert(chain string, at int, r *Rule) {
	w.line = append(append(w.line, "-I "...), chain...)
	w.line = strconv.AppendInt(append(w.line, ' '), int64(at), 10)
	w.line = append(AppendRule(w.line, r), '\n')
	w.flush()
	w.rules++
}

func (w *writer) deleteAt(chain string, at int) {
	w.line = append(append(w.line, "-D "...), chain...)
	w.line = append(strconv.AppendInt(append(w.line, ' '), int64(at), 10), '\n')
	w.flush()
	w.rules++
}
