package reproduce

import (
	"fmt"
	"slices"
	"strings"

	"viplab/analysis/plots"
	"viplab/analysis/summary"
	"viplab/analysis/verdict"
	"viplab/results/published"
)

// Row is the verdict on one published series.
type Row struct {
	Target     string `json:"target"`
	Series     string `json:"series"`
	What       string `json:"what_was_measured,omitempty"`
	Unit       string `json:"unit"`
	Provenance string `json:"provenance"`
	verdict.Verdict
	Published []published.Point `json:"-"`
	Ours      []verdict.Sample  `json:"-"`
	mode      string
}

// Outcome is all of a target.
type Outcome struct {
	Target Target           `json:"-"`
	Source published.Source `json:"source"`
	Rows   []Row            `json:"rows"`
	// CannotRun is why nothing was run.
	CannotRun string `json:"cannot_run,omitempty"`
}

// Judge makes the verdicts on targets from runs; missing is why experiments were not run,
// by name.
func Judge(targets []Target, runs Runs, missing map[string]error) ([]Outcome, error) {
	points, err := published.Points()
	if err != nil {
		return nil, err
	}
	sources, err := published.Sources()
	if err != nil {
		return nil, err
	}
	var out []Outcome
	for _, t := range targets {
		o := Outcome{Target: t, CannotRun: t.CannotRun}
		if i := slices.IndexFunc(sources, func(s published.Source) bool { return s.Target == t.ID }); i >= 0 {
			o.Source = sources[i]
		}
		for _, b := range t.Beside {
			if err := missing[b.Experiment]; err != nil && b.Cannot == "" {
				b.Cannot = "it was not run: " + firstLine(err)
			}
			o.Rows = append(o.Rows, b.judge(t, points, runs))
		}
		out = append(out, o)
	}
	return out, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// judge sets one published series beside what a run has of it.
func (b Beside) judge(t Target, points []published.Point, runs Runs) Row {
	row := Row{Target: t.ID, Series: b.Series, What: b.What, Unit: t.YUnit, mode: b.Mode, Published: published.Of(points, t.ID, b.Series)}
	if b.Point != "" {
		row.Published = slices.DeleteFunc(row.Published, func(p published.Point) bool { return p.XText != b.Point })
	}
	var codes []string
	for i, p := range row.Published {
		if !slices.Contains(codes, p.Provenance) {
			codes = append(codes, p.Provenance)
		}
		if b.Theirs != nil && !p.Word {
			row.Published[i].Y = b.Theirs(p.Y)
		}
	}
	row.Provenance = strings.Join(codes, ", ")
	c := verdict.Curve{Target: t.ID, Series: b.Series, What: b.What, Published: row.Published, Cannot: b.Cannot, NoLevel: b.NoLevel, None: b.None}
	if s := runs[b.Experiment]; s != nil && b.Ours != nil {
		row.Ours = b.Ours(s)
		c.Ours = row.Ours
	}
	row.Verdict = verdict.Judge(c)
	return row
}

// Compared tells whether any series could be set beside the published one.
func (o Outcome) Compared() bool {
	return slices.ContainsFunc(o.Rows, func(r Row) bool { return r.Kind != verdict.CannotCompare })
}

// Failed lists the rows that were not reproduced.
func Failed(list []Outcome) (out []Row) {
	for _, o := range list {
		for _, r := range o.Rows {
			if r.Kind == verdict.NotReproduced {
				out = append(out, r)
			}
		}
	}
	return out
}

// Picture overlays what was published and what was measured of a target.
func (o Outcome) Picture() plots.Picture {
	p := plots.Picture{
		Name: strings.ToLower(o.Target.ID), Title: o.Target.ID + ": " + o.Source.Title, XLabel: o.Target.XName, YLabel: o.Target.YUnit, LogY: o.Target.LogY,
	}
	var modes []string // in order of occurrence
	for _, r := range o.Rows {
		if len(r.Ours) == 0 {
			continue
		}
		if !slices.Contains(modes, r.mode) {
			modes = append(modes, r.mode)
		}
		look := plots.Look{Mode: slices.Index(modes, r.mode)}
		panel := plots.Panel{Title: r.Series}
		theirs := plots.Series{Look: look, Label: "published", Source: plots.Published}
		for _, pt := range r.Published {
			if pt.Word || pt.Over || pt.X <= 0 || pt.Y <= 0 && o.Target.LogY {
				continue
			}
			theirs.Label = "published (" + pt.Provenance + ")"
			if pt.Provenance == published.Memory {
				theirs.Source, theirs.Label = plots.Memory, "from memory (M)"
			}
			theirs.Points = append(theirs.Points, plots.Point{X: pt.X, Y: pt.Y, Lo: pt.Y, Hi: pt.Y})
		}
		ours := plots.Series{Look: look, Label: "measured here"}
		for _, s := range r.Ours {
			if s.X > 0 && (s.Y > 0 || !o.Target.LogY) && !s.Over {
				ours.Points = append(ours.Points, plots.Point{X: s.X, Y: s.Y, Lo: s.Lo, Hi: s.Hi})
			}
		}
		if len(theirs.Points)+len(ours.Points) > 0 {
			panel.Series = []plots.Series{theirs, ours}
			p.Panels = append(p.Panels, panel)
		}
	}
	return p
}

// Markdown is the verdicts as a document; pictures says for which targets there is
// one in plots/.
func Markdown(list []Outcome, experiments []string, pictures map[string]bool) []byte {
	var b strings.Builder
	b.WriteString("# Published figures, measured again\n\nVerdicts are made from the data. Each curve is fitted as a constant and a power of x; *same shape* is said only where the data exclude, at 90 %, that the powers differ by more than a quarter, and *not reproduced* where a likelihood-ratio test says that they differ, or the published curve falls to nothing where the measured one does not, or one has something of which the other has none, or too few points are common for a shape and the level is another one; where none of these holds, the verdict says what could not have been told. *Same level* is that measured and published differ by less than a factor of two. Provenance of points:")
	for _, code := range []string{published.Read, published.Plot, published.Derived, published.Memory} {
		fmt.Fprintf(&b, " %s %s;", code, published.Provenance(code))
	}
	b.WriteString("\n\n")
	for _, e := range experiments {
		fmt.Fprintf(&b, "- %s\n", e)
	}
	b.WriteString("\n| target | series | measured | prov. | verdict | figures |\n|---|---|---|---|---|---|\n")
	for _, o := range list {
		if o.CannotRun != "" {
			fmt.Fprintf(&b, "| %s | all | - | S | not run | %s |\n", o.Target.ID, o.CannotRun)
		}
		for _, r := range o.Rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.Target, r.Series, r.What, r.Provenance, r.Kind, r.Why)
		}
	}
	for _, o := range list {
		fmt.Fprintf(&b, "\n## %s: %s\n\nFrom: %s. Set-up: %s. Not known: %s.\n\n", o.Target.ID, o.Source.Title, o.Source.From, o.Source.Setup, o.Source.Unknown)
		if pictures[o.Target.ID] {
			fmt.Fprintf(&b, "![%s](plots/%s.svg)\n\n", o.Target.ID, strings.ToLower(o.Target.ID))
		}
		writePoints(&b, o)
	}
	return []byte(b.String())
}

// writePoints lists each published point with what was measured there.
func writePoints(b *strings.Builder, o Outcome) {
	if len(o.Rows) == 0 {
		return
	}
	fmt.Fprintf(b, "| series | %s | published | prov. | measured, %s |\n|---|---|---|---|---|\n", o.Target.XName, o.Target.YUnit)
	for _, r := range o.Rows {
		for _, p := range r.Published {
			theirs := p.YText
			if !p.Word && !p.Over {
				theirs = summary.Number(p.Y)
			}
			ours := "-"
			if y, ok := verdict.At(r.Ours, p.X); ok {
				ours = summary.Number(y)
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", r.Series, p.XText, theirs, p.Provenance, ours)
		}
	}
}
