package explain

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"viplab/modes/packet"
	"viplab/modes/rules"
)

// Write writes answers for people; programs adds all that each mode programs.
func Write(w io.Writer, answers []Answer, programs bool) error {
	b := bufio.NewWriter(w)
	for _, a := range answers {
		s := a.Programs
		fmt.Fprintf(b, "## %s: %d chains, %d rules, %d set entries, %d virtual servers, %d proxy ports\n\n",
			a.Mode, s.Chains, s.Rules, s.Entries, s.Servers, s.Portals)
		if programs {
			if err := writeProgram(b, a.program); err != nil {
				return err
			}
		}
		for _, way := range a.Ways {
			writeWay(b, way)
		}
	}
	return b.Flush()
}

// writeProgram writes rules as iptables-restore reads them, set entries and
// virtual servers as the tools do.
func writeProgram(b *bufio.Writer, p packet.Program) error {
	if _, err := rules.Edit(b, rules.Ruleset{}, p.Rules); err != nil {
		return fmt.Errorf("write rules: %w", err)
	}
	for _, set := range slices.Sorted(maps.Keys(p.Entries)) {
		for _, e := range slices.Sorted(maps.Keys(p.Entries[set])) {
			fmt.Fprintf(b, "add %s %s\n", set, e)
		}
	}
	fronts := func(m map[packet.Front][]string, format string) {
		var lines []string
		for f, to := range m {
			lines = append(lines, fmt.Sprintf(format, f.Proto, f.Addr, strings.Join(to, " ")))
		}
		slices.Sort(lines)
		for _, l := range lines {
			fmt.Fprintln(b, l)
		}
	}
	fronts(texts(p.Servers), "virtual server %s %s -> %s")
	fronts(texts(p.Portals), "proxy port %s %s -> %s")
	fmt.Fprintln(b)
	return nil
}

func texts[T fmt.Stringer](m map[packet.Front][]T) map[packet.Front][]string {
	out := map[packet.Front][]string{}
	for f, list := range m {
		out[f] = nil
		for _, e := range list {
			out[f] = append(out[f], e.String())
		}
	}
	return out
}

func writeWay(b *bufio.Writer, w packet.Way) {
	fmt.Fprintf(b, "%s: %s %s -> %s\n", w.Case, w.Proto, w.Src, w.Dst)
	for i, s := range w.Steps {
		where := s.Chain
		if s.Rule > 0 {
			where = fmt.Sprintf("%s %s %d", s.Table, s.Chain, s.Rule)
			if s.Looked > 1 {
				where += fmt.Sprintf(" (after %d that do not match)", s.Looked-1)
			}
		}
		if s.Hook != "" {
			where = s.Hook + ", " + where
		}
		fmt.Fprintf(b, "  %2d. %s: %s\n      %s\n", i+1, where, s.Text, s.Does)
	}
	fmt.Fprintf(b, "  => %s\n     %d rules looked at, %d jumps, %d set and %d server look-ups, %d connections copied\n\n",
		fate(w), w.Rules, w.Jumps, w.Sets, w.Servers, w.Copies)
}

func fate(w packet.Way) string {
	switch w.Fate {
	case packet.ToEndpoint:
		source := "which sees the sender's own address"
		if w.Masqueraded {
			source = "which sees the node's address as the sender's"
		}
		return fmt.Sprintf("reaches endpoint %s, %s", w.To, source)
	case packet.Refused:
		return "refused with an ICMP error"
	case packet.Lost:
		return "dropped"
	case packet.Closed:
		return "accepted by the proxy, which has no endpoint and closes it"
	case packet.ToNode:
		return "reaches the node itself, where nothing listens: a reset answers"
	}
	return "no rule changes it: routed on to " + w.Dst.Addr().String()
}
