package play

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"viplab/analysis/plots"
	"viplab/analysis/summary"
	"viplab/results"
)

// Outcome is what became of a scenario.
type Outcome struct {
	Script Script
	Modes  []string
	// Values are the quantities by mode, phase and quantity.
	Values map[string]map[string]map[string]float64
	Checks []Check
	// Shown is what the step show wrote down, by mode.
	Shown map[string][]string
	// rates are answers a second in 100 ms bins, by mode; newest those by endpoints that
	// were added.
	rates, newest map[string][]float64
}

// Check is an expectation in one mode.
type Check struct {
	Mode string
	Expectation
	Got  float64
	Held bool
	// Missing is set when the quantity was not measured: that is no success.
	Missing bool
}

// Control is the mode without a Service, which nothing is expected of.
const control = "direct"

// Judge holds a run's records against a script's expectations.
func Judge(s Script, sum *summary.Summary) Outcome {
	o := Outcome{Script: s, Values: map[string]map[string]map[string]float64{}, rates: map[string][]float64{}, newest: map[string][]float64{}, Shown: map[string][]string{}}
	for _, c := range sum.Select(results.Scenario, map[string]string{results.ScenarioName: s.Name}) {
		mode, phase := c.Factors[results.Mode], c.Factors[results.Phase]
		if o.Values[mode] == nil {
			o.Values[mode] = map[string]map[string]float64{}
			o.Modes = append(o.Modes, mode)
		}
		if o.Values[mode][phase] == nil {
			o.Values[mode][phase] = map[string]float64{}
		}
		o.Values[mode][phase][c.Factors[results.Quantity]] = c.Median
	}
	for _, c := range sum.Select(results.TPS, map[string]string{results.ScenarioName: s.Name}) {
		if c.Factors[results.Of] == "newest" {
			o.newest[c.Factors[results.Mode]] = c.Values
			continue
		}
		o.rates[c.Factors[results.Mode]] = c.Values
	}
	o.shown(s, sum)
	slices.SortFunc(o.Modes, func(a, b string) int { return slices.Index(s.Modes, a) - slices.Index(s.Modes, b) })
	for _, mode := range o.Modes {
		for _, e := range s.Expect {
			if mode == control || len(e.Modes) > 0 && !slices.Contains(e.Modes, mode) {
				continue
			}
			got, ok := o.Values[mode][e.Phase][e.Quantity]
			o.Checks = append(o.Checks, Check{mode, e, got, ok && e.Holds(got), !ok})
		}
	}
	return o
}

// shown takes over what the step show wrote down, in order.
func (o *Outcome) shown(s Script, sum *summary.Summary) {
	type line struct {
		mode, text string
		at         float64
	}
	var lines []line
	for _, c := range sum.Select(results.ScenarioShown, map[string]string{results.ScenarioName: s.Name}) {
		for _, at := range c.Values {
			lines = append(lines, line{c.Factors[results.Mode], c.Factors[results.Line], at})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	for _, l := range lines {
		o.Shown[l.mode] = append(o.Shown[l.mode], l.text)
	}
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
	fmt.Fprintf(tw, "phase\tmode\t%s\n", strings.Join(measured, "\t"))
	for _, phase := range o.phases() {
		for _, mode := range o.Modes {
			values, ok := o.Values[mode][phase]
			if !ok {
				continue
			}
			row := []string{phase, mode}
			for _, q := range measured {
				row = append(row, figure(values, q))
			}
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, mode := range o.Modes {
		if len(o.Shown[mode]) > 0 {
			fmt.Fprintf(w, "\nWhat was seen in mode %s:\n\n    %s\n", mode, strings.Join(o.Shown[mode], "\n    "))
		}
	}
	failed := o.Failed()
	fmt.Fprintf(w, "\n%d of %d expectations held.\n", len(o.Checks)-len(failed), len(o.Checks))
	for _, c := range failed {
		got := strconv.FormatFloat(c.Got, 'g', 3, 64)
		if c.Missing {
			got = "nothing measured"
		}
		fmt.Fprintf(w, "  not in %s: %s, got %s\n", c.Mode, c.Text(), got)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// measured lists the quantities that any mode has in any phase.
func (o Outcome) measured() []string {
	return slices.DeleteFunc(append([]string{"requests"}, Quantities()...), func(q string) bool {
		for _, phases := range o.Values {
			for _, values := range phases {
				if _, ok := values[q]; ok {
					return false
				}
			}
		}
		return true
	})
}

func figure(values map[string]float64, q string) string {
	v, ok := values[q]
	if !ok {
		return "-"
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// phases lists the script's phases, in its order.
func (o Outcome) phases() []string {
	var out []string
	for _, s := range o.Script.Steps {
		if s.Do == "phase" {
			out = append(out, s.Name)
		}
	}
	return append(out, "end")
}

// Picture is the request rate over time, and the part of it that endpoints have which
// were added, a panel a mode.
func (o Outcome) Picture() plots.Picture {
	p := plots.Picture{Name: o.Script.Name, Title: o.Script.Question, YLabel: "answers a second", Timeline: true}
	for _, mode := range o.Modes {
		panel := plots.Panel{Title: mode, Series: []plots.Series{timeline(mode, mode, 0, o.rates[mode])}}
		if newest := o.newest[mode]; newest != nil {
			panel.Series = append(panel.Series, timeline(mode, mode+", by endpoints that were added", 1, newest))
		}
		p.Panels = append(p.Panels, panel)
	}
	return p
}

func timeline(mode, label string, variant int, bins []float64) plots.Series {
	s := plots.Series{Mode: mode, Label: label, Variant: variant}
	for i, v := range bins {
		s.Points = append(s.Points, plots.Point{X: float64(i) / 10, Y: v, Lo: v, Hi: v})
	}
	return s
}
