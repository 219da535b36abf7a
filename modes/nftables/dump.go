package nftables

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// dumper says what the kernel holds. The nft tool, which has words for all that the
// tool itself can write, aborts (1.0.6, 1.0.9) at a rule that looks up what it looked up.
type dumper struct {
	family modes.Family
	sets   map[string]*Set
	conn   *nftables.Conn
	out    strings.Builder
	// anonymous sets, by the names that the kernel gave them, as text.
	anonymous map[string]string
}

// dump is the table as text, or nothing if there is none.
func dump(f modes.Family, sets map[string]*Set) (string, error) {
	conn, err := nftables.New()
	if err != nil {
		return "", fmt.Errorf("open a socket to nf_tables: %w", err)
	}
	d := dumper{family: f, sets: sets, conn: conn, anonymous: map[string]string{}}
	family := nftables.TableFamily(f.Domain())
	chains, err := conn.ListChainsOfTableFamily(family)
	if err != nil {
		return "", fmt.Errorf("list chains: %w", err)
	}
	table := &nftables.Table{Name: TableName, Family: family}
	if !slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name == TableName }) {
		return "", nil
	}
	if err := d.listSets(table); err != nil {
		return "", err
	}
	for _, c := range chains {
		if c.Table.Name != TableName {
			continue
		}
		if err := d.listChain(table, c); err != nil {
			return "", err
		}
	}
	return d.out.String(), nil
}

func (d *dumper) listSets(table *nftables.Table) error {
	list, err := d.conn.GetSets(table)
	if err != nil {
		return fmt.Errorf("list sets: %w", err)
	}
	for _, s := range list {
		elements, err := d.conn.GetSetElements(s)
		if err != nil {
			return fmt.Errorf("list elements of %s: %w", s.Name, err)
		}
		var lines []string
		for _, e := range elements {
			lines = append(lines, d.element(s, e))
		}
		slices.Sort(lines)
		if s.Anonymous {
			// Its name is a number that depends on history.
			d.anonymous[s.Name] = "{ " + strings.Join(lines, ", ") + " }"
			continue
		}
		fmt.Fprintf(&d.out, "set %s\n", s.Name)
		for _, l := range lines {
			fmt.Fprintf(&d.out, "element %s %s\n", s.Name, l)
		}
	}
	return nil
}

// element writes an element: in words if it is one of a set that the mode made.
func (d *dumper) element(s *nftables.Set, e nftables.SetElement) string {
	value := fmt.Sprintf("%x", e.Val)
	if s.IsMap && s.DataType.Name == nftables.TypeVerdict.Name {
		value = verdict(verdictOf(e.Val))
	}
	ours := d.sets[s.Name]
	switch {
	case ours == nil && e.IntervalEnd:
		return fmt.Sprintf("before %x", e.Key)
	case ours == nil && !s.IsMap:
		return fmt.Sprintf("%x", e.Key)
	case ours == nil:
		return fmt.Sprintf("%x : %s", e.Key, value)
	}
	key := strings.Join(ours.Key.words(d.family, string(e.Key)), " . ")
	if ours.Value == NoValue {
		return key
	}
	if ours.Value != Verdicts {
		value = strings.Join(Element{Data: string(e.Val)}.value(ours.Value), " . ")
	}
	return key + " : " + value
}

// verdictOf reads the verdict of an element, which the library leaves as it came.
func verdictOf(b []byte) *expr.Verdict {
	v := &expr.Verdict{}
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return v
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			v.Kind = expr.VerdictKind(int32(ad.Uint32()))
		case unix.NFTA_VERDICT_CHAIN:
			v.Chain = ad.String()
		}
	}
	return v
}

func verdict(v *expr.Verdict) string {
	names := map[expr.VerdictKind]string{
		expr.VerdictAccept: "accept", expr.VerdictDrop: "drop", expr.VerdictJump: "jump", expr.VerdictGoto: "goto",
		expr.VerdictReturn: "return", expr.VerdictContinue: "continue",
	}
	return strings.TrimSpace(cmp.Or(names[v.Kind], fmt.Sprint(v.Kind)) + " " + v.Chain)
}

func (d *dumper) listChain(table *nftables.Table, c *nftables.Chain) error {
	rules, err := d.conn.GetRules(table, c)
	if err != nil {
		return fmt.Errorf("list rules of %s: %w", c.Name, err)
	}
	fmt.Fprintf(&d.out, "chain %s", c.Name)
	if c.Hooknum != nil && c.Priority != nil {
		fmt.Fprintf(&d.out, " { type %s hook %s priority %d }", c.Type, HookPoint(*c.Hooknum), *c.Priority)
	}
	d.out.WriteString("\n")
	for _, r := range rules {
		fmt.Fprintf(&d.out, "rule %s%s\n", c.Name, d.rule(r.Exprs))
	}
	return nil
}

// registers are what a rule has put where, in words.
type registers map[uint32]string

// slot numbers registers of 16 bytes as the first of four bytes that they overlap with.
func slot(r uint32) uint32 {
	if r < smallRegisters {
		return smallRegisters + (r-1)*4
	}
	return r
}

// key is what stands in a register and those behind it.
func (r registers) key(from uint32, f modes.Family) string {
	var out []string
	for at := slot(from); r[at] != ""; {
		out = append(out, r[at])
		step := uint32(1)
		if f == modes.IPv6 && strings.HasSuffix(r[at], "addr") {
			step = 4
		}
		at += step
	}
	return strings.Join(out, " . ")
}

// rule writes expressions in words.
func (d *dumper) rule(list []expr.Any) string {
	r, out := registers{}, ""
	for _, e := range list {
		if text := d.expression(r, e); text != "" {
			out += " " + text
		}
	}
	return out
}

// expression follows one expression, and is what is to be said of it.
func (d *dumper) expression(r registers, e expr.Any) string {
	switch e := e.(type) {
	case *expr.Payload:
		r[slot(e.DestRegister)] = d.payload(e)
	case *expr.Meta:
		name := map[expr.MetaKey]string{expr.MetaKeyL4PROTO: "meta l4proto", expr.MetaKeyMARK: "mark"}[e.Key]
		if e.SourceRegister {
			return name + " set " + r[slot(e.Register)]
		}
		r[slot(e.Register)] = name
	case *expr.Ct:
		r[slot(e.Register)] = map[expr.CtKey]string{expr.CtKeySTATE: "ct state", expr.CtKeySTATUS: "ct status"}[e.Key]
	case *expr.Numgen:
		r[slot(e.Register)] = fmt.Sprintf("numgen random mod %d", e.Modulus)
	case *expr.Fib:
		r[slot(e.Register)] = map[bool]string{true: "fib saddr type", false: "fib daddr type"}[e.FlagSADDR]
	case *expr.Bitwise:
		r[slot(e.DestRegister)] = fmt.Sprintf("(%s and %x xor %x)", r[slot(e.SourceRegister)], e.Mask, e.Xor)
	case *expr.Immediate:
		r[slot(e.Register)] = words(e.Data)
	case *expr.Cmp:
		return r[slot(e.Register)] + map[bool]string{true: " == ", false: " != "}[e.Op == expr.CmpOpEq] + words(e.Data)
	case *expr.Lookup:
		return d.lookup(r, e)
	case *expr.Counter:
		return fmt.Sprintf("counter packets %d", e.Packets)
	case *expr.Verdict:
		return verdict(e)
	case *expr.Reject:
		return "reject"
	case *expr.Masq:
		return "masquerade"
	case *expr.NAT:
		return strings.TrimSpace("dnat to " + r[slot(e.RegAddrMin)] + " " + r[slot(e.RegProtoMin)])
	case *expr.Dynset:
		return "update @" + e.SetName + " { " + r[slot(e.SrcRegKey)] + " }"
	default:
		return fmt.Sprintf("%T", e)
	}
	return ""
}

func (d *dumper) payload(e *expr.Payload) string {
	c := compiler{encoder: &encoder{family: d.family}}
	source, _ := c.address(Src)
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2:
		return "th dport"
	case e.Base == expr.PayloadBaseNetworkHeader && e.Offset == source:
		return "saddr"
	case e.Base == expr.PayloadBaseNetworkHeader:
		return "daddr"
	}
	return fmt.Sprintf("@%d,%d,%d", e.Base, 8*e.Offset, 8*e.Len)
}

func (d *dumper) lookup(r registers, e *expr.Lookup) string {
	key, in := r.key(e.SourceRegister, d.family), "@"+e.SetName
	if text, ok := d.anonymous[e.SetName]; ok {
		in = text
	}
	if !e.IsDestRegSet {
		return key + map[bool]string{true: " != ", false: " "}[e.Invert] + in
	}
	if e.DestRegister == 0 {
		return key + " vmap " + in
	}
	clear(r)
	r[slot(e.DestRegister)] = key + " map " + in
	return ""
}

// words writes the bytes of a constant: an address, or a number.
func words(b []byte) string {
	if a, ok := netip.AddrFromSlice(b); ok && len(b) == 16 {
		return a.String()
	}
	switch len(b) {
	case 1:
		return protocolName(b[0])
	case 2:
		return fmt.Sprint(binary.BigEndian.Uint16(b))
	}
	return fmt.Sprintf("%x", b)
}
