package rules

// Sizes in bytes of the structures that a table of ip_tables consists of, on a
// 64-bit machine (include/uapi/linux/netfilter_ipv4/ip_tables.h and
// netfilter/xt_*.h; each match and target has a header of 32 bytes and is aligned
// to 8).
const (
	entrySize     = 112 // struct ipt_entry
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
	recentSize    = headerSize + 216
	natSize       = headerSize + 48 // DNAT revision 2
	natOldSize    = headerSize + 24 // REDIRECT, MASQUERADE
)

// Blob is how many bytes the rule takes in its table, as the kernel holds it and
// as each replacement of the table copies it.
func (r *Rule) Blob() int {
	n := entrySize
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
		return n + natOldSize
	}
	return n + standardSize
}

// Blob is how many bytes the Ruleset takes in the kernel: its rules, and for each
// chain of its own an entry that names it and one that ends it.
func (r Ruleset) Blob() int {
	n := 0
	for _, t := range r.Tables {
		for c := range t.All() {
			for i := range c.Rules {
				n += c.Rules[i].Blob()
			}
			if !BuiltIn(c.Name) {
				n += entrySize + errorSize + entrySize + standardSize
			}
		}
	}
	return n
}
