package rules

import (
	"net/netip"

	"viplab/modes"
)

// Sizes in bytes of the structures that a table of ip_tables or ip6_tables consists of, on a
// 64-bit machine (include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h
// and netfilter/xt_*.h; each match and target has a header of 32 bytes and is aligned
// to 8).
const (
	entrySize     = 112 // struct ipt_entry
	entrySixSize  = 168 // struct ip6t_entry
	headerSize    = 32  // struct xt_entry_match, xt_entry_target
	standardSize  = headerSize + 8
	errorSize     = headerSize + 32
	commentSize   = headerSize + 256
	portsSize     = headerSize + 16 // tcp, udp
	statisticSize = headerSize + 24
	addrtypeSize  = headerSize + 8
	markSize      = headerSize + 16
	conntrackSize = headerSize + 168 // revision 3
	setSize       = headerSize + 64
	ipvsSize      = headerSize + 40
	recentSize    = headerSize + 232 // revision 1
	natSize       = headerSize + 48  // DNAT revision 2
	natOldSize    = headerSize + 24  // REDIRECT, MASQUERADE: struct nf_nat_ipv4_multi_range_compat
	natSixSize    = headerSize + 40  // the same of IPv6: struct nf_nat_range
)

func entryOf(f modes.Family) int {
	if f == modes.IPv6 {
		return entrySixSize
	}
	return entrySize
}

// Blob is how many bytes the rule takes in its table of an address family, as the kernel
// holds it and as each replacement of the table copies it.
func (r *Rule) Blob(f modes.Family) int {
	n := entryOf(f)
	for _, m := range []struct {
		has  bool
		size int
	}{
		{r.Comment != "", commentSize}, {r.DPort != 0 || r.Proto != "" && !r.Virtual, portsSize}, {r.Virtual, ipvsSize}, {r.Chance > 1, statisticSize},
		{r.DstLocal, addrtypeSize}, {r.SrcLocal, addrtypeSize}, {r.Recent != "", recentSize}, {r.NotMark != 0, markSize}, {r.HasMark != 0, markSize}, {r.CTState != "", conntrackSize}, {r.Set != "", setSize},
	} {
		if m.has {
			n += m.size
		}
	}
	switch r.Target {
	case DNAT:
		return n + natSize
	case Redirect, Masquerade:
		if f == modes.IPv6 {
			return n + natSixSize
		}
		return n + natOldSize
	}
	return n + standardSize
}

// ChainBlob is how many bytes a chain of its own takes without rules: an entry that names it
// and one that ends it.
func ChainBlob(f modes.Family) int { return 2*entryOf(f) + errorSize + standardSize }

// family is that of the first address that a rule has, IPv4 if none has any.
func (r Ruleset) family() modes.Family {
	for _, t := range r.Tables {
		for c := range t.All() {
			for i := range c.Rules {
				for _, a := range []netip.Addr{c.Rules[i].Dst.Addr(), c.Rules[i].Src.Addr(), c.Rules[i].To.Addr()} {
					if a.IsValid() {
						return modes.FamilyOf(a)
					}
				}
			}
		}
	}
	return modes.IPv4
}

// Blob is how many bytes the Ruleset takes in the kernel: its rules, and its chains.
func (r Ruleset) Blob() int {
	n, f := 0, r.family()
	for _, t := range r.Tables {
		for c := range t.All() {
			for i := range c.Rules {
				n += c.Rules[i].Blob(f)
			}
			if !BuiltIn(c.Name) {
				n += ChainBlob(f)
			}
		}
	}
	return n
}
