package play

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"viplab/analysis/plots"
	"viplab/analysis/summary"
	"viplab/results"
)

// Outcome is what became of a scenario.
type Outcome struct {
	Script Script
	// Series are the variants that were played, in the order of reports.
	Series []summary.Series
	// Values are the quantities by label of a series, phase and quantity.
	Values map[string]map[string]map[string]float64
	Checks []Check
	// Shown is what the step show wrote down, by label.
	Shown map[string][]string
	// rates are answers a second in 100 ms bins, by label; newest those by endpoints that
	// were added.
	rates, newest map[string][]float64
}

// Check is an expectation in one variant of a mode, named by its label.
type Check struct {
	Label string
	Expectation
	Got  float64
	Held bool
	// Missing is set when the quantity was not measured: that is no success.
	Missing bool
}

// Judge holds a run's records against a script's expectations. Of the baseline, which is
// the control, nothing is expected.
func Judge(s Script, sum *summary.Summary) Outcome {
	o := Outcome{
		Script: s, Values: map[string]map[string]map[string]float64{}, Shown: map[string][]string{},
		rates: map[string][]float64{}, newest: map[string][]float64{},
	}
	this := map[string]string{results.ScenarioName: s.Name}
	for _, one := range sum.Series() {
		phases := map[string]map[string]float64{}
		for _, c := range sum.In(one, results.Scenario, this) {
			phase := c.Factors[results.Phase]
			if phases[phase] == nil {
				phases[phase] = map[string]float64{}
			}
			phases[phase][c.Factors[results.Quantity]] = c.Median
		}
		if len(phases) > 0 {
			o.Values[one.Label] = phases
			o.Series = append(o.Series, one)
		}
		for _, c := range sum.In(one, results.TPS, this) {
			if c.Factors[results.Of] == "newest" {
				o.newest[one.Label] = c.Values
			} else {
				o.rates[one.Label] = c.Values
			}
		}
		o.Shown[one.Label] = shown(sum.In(one, results.ScenarioShown, this))
	}
	for _, one := range sum.Series() { // those of which nothing was recorded too
		for _, e := range s.Expect {
			if s.TimeTravel && slices.Contains(costs(), e.Quantity) || one.Baseline || len(e.Modes) > 0 && !slices.Contains(e.Modes, one.Mode) {
				continue
			}
			got, ok := o.Values[one.Label][e.Phase][e.Quantity]
			o.Checks = append(o.Checks, Check{one.Label, e, got, ok && e.Holds(got), !ok})
		}
	}
	return o
}

// shown lists what the step show wrote down, in order.
func shown(cells []*summary.Cell) []string {
	type line struct {
		text string
		at   float64
	}
	var lines []line
	for _, c := range cells {
		for _, at := range c.Values {
			lines = append(lines, line{c.Factors[results.Line], at})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var out []string
	for _, l := range lines {
		out = append(out, l.text)
	}
	return out
}

// Failed lists the checks that did not hold.
func (o Outcome) Failed() []Check {
	return slices.DeleteFunc(slices.Clone(o.Checks), func(c Check) bool { return c.Held })
}

// Write writes quantities, checks and a verdict for people.
func (o Outcome) Write(w io.Writer) error {
	fmt.Fprintf(w, "## %s\n\n%s\n\n", o.Script.Name, o.Script.Question)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	measured := o.measured()
	units := map[string]results.Scaled{}
	head := []string{"phase", "mode"}
	for _, q := range measured {
		if units[q] = o.unit(q); units[q].Name != "" {
			q += ", " + units[q].Name
		}
		head = append(head, q)
	}
	fmt.Fprintln(tw, strings.Join(head, "\t"))
	for _, phase := range o.phases() {
		for _, one := range o.Series {
			values, ok := o.Values[one.Label][phase]
			if !ok {
				continue
			}
			row := []string{phase, one.Label}
			for _, q := range measured {
				row = append(row, figure(values, q, units[q]))
			}
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, one := range o.Series {
		if lines := o.Shown[one.Label]; len(lines) > 0 {
			fmt.Fprintf(w, "\nWhat was seen in mode %s:\n\n    %s\n", one.Label, strings.Join(lines, "\n    "))
		}
	}
	if o.Script.TimeTravel {
		fmt.Fprintf(w, "\nPlayed in time travel: times are of waiting alone, since what computes takes none, and costs (%s) are not measured.\n", strings.Join(costs(), ", "))
	}
	failed := o.Failed()
	fmt.Fprintf(w, "\n%d of %s held.\n", len(o.Checks)-len(failed), summary.Count(len(o.Checks), "expectation"))
	for _, c := range failed {
		got := strings.TrimSpace(summary.Plain(c.Got) + " " + unitOf(c.Quantity))
		if c.Missing {
			got = "nothing measured"
		}
		fmt.Fprintf(w, "  not in %s: %s, got %s\n", c.Label, c.Text(), got)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// measured lists the quantities that any mode has in any phase. What was due is told where
// some of it was not sent.
func (o Outcome) measured() []string {
	return slices.DeleteFunc(append([]string{dueName, sentName}, Quantities()...), func(q string) bool {
		for _, phases := range o.Values {
			for _, values := range phases {
				if _, ok := values[q]; ok && (q != dueName && q != unsentName || values[unsentName] > 0) {
					return false
				}
			}
		}
		return true
	})
}

// unit is the scale of a quantity's column: times in one that suits all of them, and what
// is a share or a ratio as it is.
func (o Outcome) unit(quantity string) results.Scaled {
	if unitOf(quantity) != string(results.Seconds) {
		return results.Scaled{Scale: 1}
	}
	var all []float64
	for _, phases := range o.Values {
		for _, values := range phases {
			all = append(all, values[quantity])
		}
	}
	return summary.UnitForAll(results.LiveLatency, all)
}

// unitOf is the base unit of a quantity, empty for shares and ratios.
func unitOf(name string) string {
	if i := slices.IndexFunc(quantities(), func(one quantity) bool { return one.name == name }); i >= 0 {
		return quantities()[i].unit
	}
	return ""
}

func figure(values map[string]float64, q string, u results.Scaled) string {
	v, ok := values[q]
	if !ok {
		return "-"
	}
	return summary.Plain(v / u.Scale)
}

// phases lists the script's phases, in its order.
func (o Outcome) phases() []string {
	var out []string
	for _, s := range o.Script.Steps {
		if s.Do == "phase" {
			out = append(out, s.Name)
		}
	}
	return append(out, lastPhase)
}

// Picture is the request rate over time, and the part of it that endpoints have which
// were added, a panel a mode.
func (o Outcome) Picture() plots.Picture {
	p := plots.Picture{Name: o.Script.Name, Title: o.Script.Question, YLabel: "answers a second", Timeline: true}
	for _, one := range o.Series {
		look := plots.LookOf(one)
		panel := plots.Panel{Title: one.Label, Series: []plots.Series{timeline(one.Label, look, o.rates[one.Label])}}
		if newest := o.newest[one.Label]; newest != nil {
			look.Variant++ // another dash
			panel.Series = append(panel.Series, timeline(one.Label+", by endpoints that were added", look, newest))
		}
		p.Panels = append(p.Panels, panel)
	}
	return p
}

func timeline(label string, look plots.Look, bins []float64) plots.Series {
	s := plots.Series{Look: look, Label: label}
	for i, v := range bins {
		s.Points = append(s.Points, plots.Point{X: float64(i) / 10, Y: v, Lo: v, Hi: v})
	}
	return s
}
