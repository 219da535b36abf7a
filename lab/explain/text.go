package explain

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"viplab/analysis/summary"
	"viplab/modes"
)

// Write writes answers for people; programs adds all that each mode programs.
func Write(w io.Writer, answers []Answer, programs bool) error {
	b := bufio.NewWriter(w)
	for _, a := range answers {
		fmt.Fprintf(b, "## %s: %s\n\n", strings.TrimSpace(a.Mode+" "+a.Args.String()), a.Programs)
		if programs {
			if err := a.program.Write(b); err != nil {
				return err
			}
			fmt.Fprintln(b)
		}
		for i, why := range a.LeftOut {
			if i == maxLeftOut {
				fmt.Fprintf(b, "and %d more that it cannot serve\n", len(a.LeftOut)-i)
				break
			}
			fmt.Fprintln(b, why)
		}
		for _, n := range a.Notes {
			fmt.Fprintln(b, n)
		}
		if len(a.LeftOut)+len(a.Notes) > 0 {
			fmt.Fprintln(b)
		}
		for _, way := range a.Ways {
			writeWay(b, way)
		}
	}
	return b.Flush()
}

// maxLeftOut is how many Services are named that a mode cannot serve.
const maxLeftOut = 5

func writeWay(b *bufio.Writer, w Way) {
	src := w.Src.String()
	if !w.Src.IsValid() {
		src = "the node's own choice"
	}
	fmt.Fprintf(b, "%s: %s %s -> %s\n", w.Case, w.Proto, src, w.Dst)
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
	fmt.Fprintf(b, "  => %s\n", fate(w))
	if w.Unknown != "" && w.Fate != modes.Undecided {
		fmt.Fprintf(b, "     met what is not known, which decides nothing: %s\n", w.Unknown)
	}
	writeChances(b, w.Chances)
	fmt.Fprintf(b, "     %s looked at, %s, %s, %s, %s copied\n\n", summary.Count(w.Rules, "rule"), summary.Count(w.Jumps, "jump"),
		summary.Count(w.Sets, "set look-up"), summary.Count(w.Servers, "server look-up"), summary.Count(w.Copies, "connection"))
}

// maxChances is how many ends are named that chance leads to.
const maxChances = 10

func writeChances(b *bufio.Writer, list []modes.Chance) {
	if len(list) < 2 {
		return
	}
	var out []string
	for i, c := range list {
		if i == maxChances {
			out = append(out, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		end := string(c.Fate)
		if c.To.IsValid() {
			end = c.To.String()
		}
		out = append(out, fmt.Sprintf("%s with %.3g %%", end, 100*c.Probability))
	}
	fmt.Fprintf(b, "     by chance: %s\n", strings.Join(out, ", "))
}

func fate(w Way) string {
	if w.Mode == OfRules {
		return fateOfRules(w)
	}
	switch w.Fate {
	case modes.ToEndpoint:
		source := "which sees the sender's own address"
		if w.Masqueraded {
			source = "which sees the node's address as the sender's"
		}
		return fmt.Sprintf("reaches endpoint %s, %s", w.To, source)
	case modes.Refused:
		return "refused with an ICMP error"
	case modes.Lost:
		return "dropped"
	case modes.Closed:
		return "accepted by the proxy, which has no endpoint and closes it"
	case modes.ToNode:
		return "reaches the node itself, where nothing listens: a reset answers"
	}
	return "no rule changes it: routed on to " + w.Dst.Addr().String()
}
