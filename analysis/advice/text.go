package advice

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"viplab/analysis/summary"
	"viplab/modes"
)

// Write writes advice for a terminal.
func (a *Advice) Write(w io.Writer) error {
	fmt.Fprintf(w, "At %s, from %s.\n", summary.CountServices(a.Services), a.From)
	if a.Simulation != "" {
		fmt.Fprintf(w, "What nobody measured at that number is SIMULATED, with costs of: %s.\nIts brackets are what such predictions were off by, where that is known.\n", a.Simulation)
		if t := a.Topology; t != nil && modes.FamilyOf(t.VIP(0)) == modes.IPv6 {
			fmt.Fprintln(w, "It is of Services of ipv6; what an operation costs is that of ipv4.")
		}
	}
	if a.Family != "" {
		fmt.Fprintln(w, a.Family)
	}
	for _, s := range a.Standings {
		fmt.Fprintf(w, "\n%s\n  %s.\n", upper(s.Question.About), s.Text())
	}
	sentences(w, "Where it matters", a.Matters)
	sentences(w, "With your rate of changes", a.Rates)
	var refused []string
	for _, r := range a.Refused {
		refused = append(refused, fmt.Sprintf("%s cannot serve %d of %d, the first: %s", r.Mode, r.Services, r.Total, r.First))
	}
	sentences(w, "What your Services ask for", refused)
	if len(a.Unknown) > 0 {
		fmt.Fprintf(w, "\nNeither measured nor simulated: %s.\n", strings.Join(a.Unknown, ", "))
	}
	if len(a.Abilities) < 2 {
		return nil
	}
	fmt.Fprint(w, "\nWhat each choice gives up\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range a.Abilities {
		fmt.Fprintln(tw, "  "+strings.Join(r, "\t"))
	}
	return tw.Flush()
}

func sentences(w io.Writer, title string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, s := range list {
		fmt.Fprintf(w, "  %s.\n", s)
	}
}

// upper begins a sentence.
func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
