package advice

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// Input is what somebody has who asks for advice.
type Input struct {
	// Services is how many, 0 for the largest number that was measured.
	Services int `json:"services"`
	// Changes is how many there are a second, 0 if that is not known.
	Changes float64 `json:"changes_per_second,omitempty"`
	// Budget is by how much longer than with the best mode a change may take, in seconds,
	// before it matters; 0 if that is not known.
	Budget float64 `json:"budget_seconds,omitempty"`
	// Kernel is that of which figures are wanted, empty for any.
	Kernel string `json:"kernel,omitempty"`
	// Asked are somebody's own Services, nil if they are not known. Services is then their
	// number, and what nobody measured is simulated for them, if Topology is set too: the
	// same Services where a client reaches them in the lab's network.
	Asked    []*modes.Service `json:"-"`
	Topology modes.Topology   `json:"-"`
}

// Refusal is what some of the Services of an Input ask for that a mode lacks.
type Refusal struct {
	Mode string `json:"mode"`
	// Services is how many it refuses, Total of how many, First why it refuses the first.
	Services int    `json:"services"`
	Total    int    `json:"total"`
	First    string `json:"first"`
}

// refusals lists the modes of which a node could not serve all of some Services.
func refusals(known []modes.Mode, asked []*modes.Service) (out []Refusal) {
	for _, m := range known {
		r := Refusal{Mode: m.Name, Total: len(asked)}
		for _, svc := range asked {
			if err := m.Limits.Check(m.Name, svc); err != nil && !m.Baseline {
				if r.Services++; r.Services == 1 {
					r.First = err.Error()
				}
			}
		}
		if r.Services > 0 {
			out = append(out, r)
		}
	}
	return out
}

// Advice is what a run and the simulation say to an Input.
type Advice struct {
	Input
	// From says what was measured, where; Simulation what the rest is calibrated with, empty
	// where nothing is simulated.
	From string `json:"from"`
	// Family is a sentence on the address family of what was measured, where it is not that of
	// the Topology.
	Family     string     `json:"family,omitempty"`
	Simulation string     `json:"simulation,omitempty"`
	Standings  []Standing `json:"standings"`
	// Matters and Rates are sentences on the budget and on the rate of changes.
	Matters []string `json:"budget,omitempty"`
	Rates   []string `json:"changes,omitempty"`
	// Refused lists the modes that cannot serve all Services of the Input, and so have no
	// standing.
	Refused []Refusal `json:"refused,omitempty"`
	// Unknown lists the modes of which there is nothing.
	Unknown []string `json:"unknown,omitempty"`
	// Abilities is the table of [Abilities].
	Abilities [][]string `json:"abilities"`
}

// unmeasured is how many Services are asked about where nobody says and nothing was
// measured: the size of a large cluster of today.
const unmeasured = 5000

// Advise answers an Input from a run, nil for none: from simulation alone.
func Advise(known []modes.Mode, run *results.Run, in Input) (*Advice, error) {
	s := &summary.Summary{}
	out := &Advice{Input: in, From: "nothing that was measured"}
	if run == nil && in.Kernel != "" {
		return nil, fmt.Errorf("nothing was measured on kernel %q: there is no run", in.Kernel)
	}
	if run != nil {
		var err error
		if s, err = summary.Of(run); err != nil {
			return nil, err
		}
		if s, err = ofKernel(s, run, in.Kernel); err != nil {
			return nil, err
		}
		out.From = run.Dir + where(run.Env)
	}
	sizes := s.Served()
	if out.Services == 0 && len(in.Asked) > 0 {
		out.Services = len(in.Asked)
	}
	if out.Services == 0 {
		out.Services = unmeasured
		if len(sizes) > 0 {
			out.Services = sizes[len(sizes)-1]
		}
	}
	series := out.ofFamily(s.Series())
	// Only a run of a mode says what it costs beside others on its machine.
	if len(series) == 0 {
		for _, m := range known {
			series = append(series, summary.Series{Label: m.Name, Mode: m.Name, Variant: results.Variant{results.Mode: m.Name}, Baseline: m.Baseline})
		}
	}
	out.Refused = refusals(known, in.Asked)
	series = slices.DeleteFunc(series, func(one summary.Series) bool {
		return slices.ContainsFunc(out.Refused, func(r Refusal) bool { return r.Mode == one.Mode })
	})
	forecast, about, err := simulated(known, run, s, in.Topology)
	if err != nil {
		return nil, err
	}
	if slices.Contains(sizes, out.Services) {
		forecast = nil
	} else {
		out.Simulation = about
	}
	var names []string
	for _, q := range Questions() {
		st := Ask(q, s, series, out.Services, forecast)
		if st.Empty() {
			continue
		}
		out.Standings = append(out.Standings, st)
		if q.Name == OneChange {
			out.Matters, out.Rates = matters(q, s, series, st, in.Budget), rates(st, in.Changes)
		}
		for _, e := range slices.Concat(st.Leaders, st.Behind, st.Unplaced) {
			if !slices.Contains(names, e.Mode) {
				names = append(names, e.Mode)
			}
		}
	}
	for _, m := range known {
		if !m.Baseline && !slices.Contains(names, m.Name) {
			out.Unknown = append(out.Unknown, m.Name)
		}
	}
	out.Unknown = slices.DeleteFunc(out.Unknown, func(name string) bool {
		return slices.ContainsFunc(out.Refused, func(r Refusal) bool { return r.Mode == name })
	})
	out.Abilities = Abilities(known, names)
	return out, nil
}

// where says in brackets what is known of where a run was made, nothing if that is nothing.
func where(e results.Env) string {
	var known []string
	if e.Testbed != "" {
		known = append(known, "testbed "+e.Testbed)
	}
	if e.Kernel != "" {
		known = append(known, "kernel "+e.Kernel)
	}
	if len(known) == 0 {
		return ""
	}
	return " (" + strings.Join(known, ", ") + ")"
}

// ofKernel is the part of a run's Summary that is of one kernel, the empty one for any. Where
// there are several in the run it has to be one of their names, else it may be a version
// ("7.3", "6.18.44").
func ofKernel(s *summary.Summary, run *results.Run, kernel string) (*summary.Summary, error) {
	kernels := s.Kernels()
	if kernel == "" || run == nil {
		return s, nil
	}
	if len(kernels) == 1 && kernels[0] != kernel && isVersion(run.Env.Kernel, kernel) {
		return s, nil
	}
	// Natively there is no guest that would have a kernel with a name.
	if !slices.Contains(kernels, kernel) || run.Env.Kernel == run.Env.Host {
		if len(kernels) == 1 {
			kernels = []string{run.Env.Kernel}
		}
		return nil, fmt.Errorf("nothing was measured on kernel %q: the run is of %s", kernel, strings.Join(kernels, ", "))
	}
	return s.Where(func(v results.Variant) bool { return v.KernelName() == kernel }), nil
}

// isVersion tells whether a kernel's release ("Linux 6.18.44-x") is of a version or a series.
func isVersion(release, version string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(release, "Linux "), version)
	return ok && (rest == "" || strings.ContainsAny(rest[:1], ".-+"))
}

// matters holds how far variants are behind against a budget, and says from which number of
// Services on it is exceeded.
func matters(q Question, s *summary.Summary, series []summary.Series, st Standing, budget float64) []string {
	if budget <= 0 || len(st.Leaders) == 0 {
		return nil
	}
	u := summary.UnitFor(q.Metric, budget)
	limit := summary.Number(budget/u.Scale) + " " + u.Name
	var out []string
	for _, e := range st.Behind {
		_, lo, hi := st.Gap(e)
		switch {
		case lo > budget:
			text := fmt.Sprintf("%s is behind by more than %s a change", e.Label, limit)
			out = append(out, text+crossing(q, s, series, e.Label, budget))
		case hi < budget:
			out = append(out, fmt.Sprintf("%s is behind by less than %s a change: that does not matter", e.Label, limit))
		default:
			out = append(out, fmt.Sprintf("whether %s is behind by more than %s a change cannot be told", e.Label, limit))
		}
	}
	return out
}

// near is how far apart two measured sizes may be, as a factor, for a size between them to
// be interpolated.
const near = 10

// crossing says from which number of Services on a variant is behind by more than a budget:
// interpolated between logarithms of measured sizes, or, where those are far apart or the
// variant is not behind at the smaller, between which it is. It is empty if the variant is
// behind by that at the smallest, or at none.
func crossing(q Question, s *summary.Summary, series []summary.Series, label string, budget float64) string {
	lastN, lastGap := 0, 0.0
	for _, n := range s.Sizes() {
		st := Ask(q, s, series, n, nil)
		gap := 0.0
		for _, e := range st.Behind {
			if e.Label == label {
				gap, _, _ = st.Gap(e)
			}
		}
		switch {
		case gap <= budget:
		case lastN == 0:
			return ""
		case lastGap <= 0 || n > near*lastN:
			return fmt.Sprintf(", from somewhere between %d and %d Services on", lastN, n)
		default:
			share := math.Log(budget/lastGap) / math.Log(gap/lastGap)
			at := math.Exp(math.Log(float64(lastN)) + share*math.Log(float64(n)/float64(lastN)))
			return fmt.Sprintf(", from about %s Services on", summary.Digits(at, 1-int(math.Floor(math.Log10(at)))))
		}
		lastN, lastGap = n, gap
	}
	return ""
}

// margin is how many times faster or slower than it has to be something is that keeps up, or
// does not, although it has no interval.
const margin = 10

// rates says which variants keep up with so many changes a second, each programmed by
// itself.
func rates(st Standing, changes float64) []string {
	if changes <= 0 {
		return nil
	}
	var out []string
	for _, e := range slices.Concat(st.Leaders, st.Behind, st.Unplaced) {
		most, why := summary.Number(1/e.Value), ""
		lo, hi := e.Lo, e.Hi
		switch {
		case e.Over && !e.HalfOver:
			lo, hi = e.Value/margin, math.Inf(1)
			why = fmt.Sprintf(" (fewer than half of its rounds were cut off: a factor of %d decides)", margin)
		case e.Over:
			most, lo, hi = "less than "+most, e.Value, math.Inf(1)
		case e.Interval:
			most += " [" + summary.Number(1/e.Hi) + ", " + summary.Number(1/e.Lo) + "]"
		default:
			lo, hi = e.Value/margin, e.Value*margin
			why = fmt.Sprintf(" (it has no interval: a factor of %d decides)", margin)
		}
		word := "keeps up with"
		switch {
		case lo*changes > 1:
			word = "does not keep up with"
		case hi*changes > 1:
			word = "may or may not keep up with"
		}
		out = append(out, fmt.Sprintf("%s %s %s changes a second: one by one it programs %s%s", e.Label, word, summary.Number(changes), most, why))
	}
	return out
}

// ofFamily keeps the series of the family that the Topology is of, if any is; else it says that
// there are none.
func (a *Advice) ofFamily(series []summary.Series) []summary.Series {
	if a.Topology == nil || len(series) == 0 {
		return series
	}
	want := modes.FamilyOf(a.Topology.VIP(0))
	other := func(one summary.Series) bool {
		family := modes.Family(one.Variant[results.Family])
		return family != want && (family != "" || want != modes.IPv4)
	}
	if !slices.ContainsFunc(series, func(one summary.Series) bool { return !other(one) }) {
		measured := "is not"
		if slices.ContainsFunc(series, func(one summary.Series) bool { return one.Variant[results.Family] == string(modes.Dual) }) {
			measured = "serves both families at once"
		}
		a.Family = fmt.Sprintf("Your Services are of %s; what was measured %s.", want, measured)
		return series
	}
	return slices.DeleteFunc(series, other)
}
