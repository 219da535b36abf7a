package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"viplab/analysis/summary"
	"viplab/results"
)

// Formats lists the ways to write a Comparison.
func Formats() []string { return []string{"text", "markdown", "json"} }

// Write writes a Comparison; all adds the rows without significance to text and
// Markdown, JSON always has them.
func (c *Comparison) Write(w io.Writer, format string, all bool) error {
	if format == "json" {
		b, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			return fmt.Errorf("encode comparison: %w", err)
		}
		_, err = w.Write(append(b, '\n'))
		return err
	}
	head := []string{"quantity", "of", "A", "B", "change [95 %]", "p (Mann-Whitney)"}
	var rows [][]string
	for _, r := range c.Rows {
		if all || r.Significant && !r.Explained {
			rows = append(rows, r.text())
		}
	}
	if format == "markdown" {
		fmt.Fprintf(w, "# %s against %s\n\n%s\n\n", c.A, c.B, c.sentence())
		if len(rows) > 0 {
			fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
			for _, r := range rows {
				fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(rows) > 0 {
		fmt.Fprintln(tw, strings.Join(head, "\t"))
		for _, r := range rows {
			fmt.Fprintln(tw, strings.Join(r, "\t"))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, c.sentence())
	return err
}

// sentence says how many cells differ, and how many would by chance.
func (c *Comparison) sentence() string {
	s := fmt.Sprintf("%d of %s differ significantly (%.1f %%); of cells in which nothing changed, %.0f %% look so by chance.",
		c.Significant(), summary.Count(len(c.Rows), "cell"), 100*float64(c.Significant())/float64(len(c.Rows)), 100*Alpha)
	if n := c.Explained(); n > 0 {
		s += fmt.Sprintf(" %d more may have changed by no more than the machine itself did, in its own speed or without a Service.", n)
	}
	if len(c.Machine) > 0 {
		var each []string
		for _, loop := range slices.Sorted(maps.Keys(c.Machine)) {
			each = append(each, fmt.Sprintf("%s %+.1f %%", loop, 100*c.Machine[loop]))
		}
		s += " The machine's own speed, in time a step of fixed loops: " + strings.Join(each, ", ") + "."
	}
	if c.OnlyA+c.OnlyB > 0 {
		s += fmt.Sprintf(" Only in A: %d, only in B: %d.", c.OnlyA, c.OnlyB)
	}
	if n := len(c.Cut); n > 0 {
		s += fmt.Sprintf(" A limit of time cut off %s in B and not in A, the first: %s.", summary.Count(n, "cell"), c.Cut[0])
	}
	if n := len(c.Lost); n > 0 {
		s += fmt.Sprintf(" Variants or sizes of A of which there is nothing in B: %d, the first: %s%s.", n, c.Lost[0], c.Hint())
	}
	if v := c.Versions; len(v) == 2 {
		s += fmt.Sprintf(" Measured by different versions of viplab, %s in A, %s in B.", cmp.Or(v[0], "unknown"), cmp.Or(v[1], "unknown"))
	}
	if len(c.Differences) > 0 {
		s += " Compared although " + strings.Join(c.Differences, "; ") + "."
	}
	return s
}

// Hint says by which option what was lost would meet what only B has, if there is one.
func (c *Comparison) Hint() string {
	if len(c.Across) == 0 {
		return ""
	}
	return " (--across " + strings.Join(c.Across, ",") + " lets variants meet that differ in that alone)"
}

func (r Row) text() []string {
	var of []string
	for _, part := range []map[string]string{r.Variant, r.Factors} {
		for _, k := range slices.Sorted(maps.Keys(part)) {
			if k != results.Testbed && k != results.Ports && k != results.Endpoints {
				of = append(of, k+"="+part[k])
			}
		}
	}
	change := fmt.Sprintf("%+.1f %%", 100*r.Change)
	if r.FromNothing {
		change = "from nothing"
	}
	if r.Interval {
		change += fmt.Sprintf(" [%+.1f, %+.1f]", 100*float64(r.Lo), 100*float64(r.Hi))
	}
	switch {
	case !r.Significant:
		change = "~ " + change
	case r.Explained:
		change = "~ " + change + ", as the machine"
	}
	value := func(v float64) string {
		u := summary.UnitFor(r.Metric, v)
		return strings.TrimSpace(summary.Number(v/u.Scale) + " " + u.Name)
	}
	return []string{r.Metric, strings.Join(of, " "), value(r.A), value(r.B), change, fmt.Sprintf("%.3f", r.P)}
}

// Name is the row's cell, for people.
func (r Row) Name() string { t := r.text(); return t[0] + " " + t[1] }
