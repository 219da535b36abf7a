package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"viplab/analysis/fit"
	"viplab/analysis/summary"
	"viplab/results"
)

// flatBelow is the size below which a cost is dominated by what does not
// depend on the number of Services, such as starting a tool; it is left out of
// exponents.
const flatBelow = 1000

// growth is a table of how costs grow: exponents of updates, where they leave
// their flat part, and what one Service before a packet's own costs its first
// packet, by two methods.
func growth(s *summary.Summary, series []summary.Series) *table {
	t := &table{
		Title: "Growth with the number of Services",
		Head: words("fit [95 % interval]", "full sync, exponent", "add a Service, exponent", "add a Service, doubled at",
			"ns for each Service before the packet's: round trip from the client", "the same, by the call that sends a SYN from the node"),
	}
	add := map[string]string{results.Change: "service-add"}
	for _, one := range series {
		row := []string{
			one.Label, exponent(s, one, results.SyncFull, nil), exponent(s, one, results.SyncDelta, add),
			knee(s, one, results.SyncDelta, add), "-", "-",
		}
		if !one.Baseline {
			for i, m := range methods() {
				if l, err := Slope(s, one, m); err == nil {
					row[4+i] = fmt.Sprintf("%.2f [%.2f, %.2f]", l.Slope, l.Lo(), l.Hi())
				}
			}
		}
		if slices.ContainsFunc(row[1:], func(c string) bool { return c != "-" }) {
			t.Rows = append(t.Rows, words(row...))
		}
	}
	return t.orNil()
}

// exponent fits the growth of a cost from flatBelow Services on, through the
// median of every round.
func exponent(s *summary.Summary, one summary.Series, metric string, with map[string]string) string {
	var x, y []float64
	sizes := map[int]bool{}
	for _, c := range s.BySize(one, metric, with) {
		if c.Services() < flatBelow || c.Over {
			continue
		}
		sizes[c.Services()] = true
		for _, m := range c.Trials {
			x, y = append(x, float64(c.Services())), append(y, m)
		}
	}
	l, err := fit.Power(x, y)
	if err != nil || len(sizes) < 2 {
		return "-"
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", l.Slope, l.Lo(), l.Hi())
}

// knee is the number of Services at which a cost has doubled from that of the
// smallest size, interpolated between the logarithms of its neighbours.
func knee(s *summary.Summary, one summary.Series, metric string, with map[string]string) string {
	cells := s.BySize(one, metric, with)
	if len(cells) < 3 || cells[0].Median <= 0 {
		return "-"
	}
	double := 2 * cells[0].Median
	for i, c := range cells[1:] {
		if c.Median < double {
			continue
		}
		before := cells[i]
		share := math.Log(double/before.Median) / math.Log(c.Median/before.Median)
		lo, hi := math.Log(float64(before.Services())), math.Log(float64(c.Services()))
		return strconv.Itoa(int(math.Exp(lo + share*(hi-lo))))
	}
	return fmt.Sprintf("> %d", cells[len(cells)-1].Services())
}

// Method is a way to measure what a rule on a packet's way costs.
type Method struct {
	Metric string
	With   map[string]string
}

// RoundTrip is the round trip of a TCP connection's first packet, from the client.
func RoundTrip() Method {
	return Method{results.FirstPacket, map[string]string{results.Protocol: "tcp", results.From: "client"}}
}

// methods lists the ways, which share neither hook nor clock reading.
func methods() []Method { return []Method{RoundTrip(), {results.NodeSend, nil}} }

// Slope fits a first packet's time, less that of the baseline in the same round,
// against the number of Services before the one that is asked. The unit is ns a
// Service.
func Slope(s *summary.Summary, one summary.Series, m Method) (fit.Line, error) {
	baseline, ok := s.BaselineOf(one)
	if !ok {
		return fit.Line{}, fmt.Errorf("no baseline was measured beside %s", one.Label)
	}
	var x, y []float64
	for _, at := range []struct {
		position string
		share    float64
	}{{"first", 0}, {"middle", 0.5}, {"last", 1}} {
		with := summary.With(m.With, results.Position, at.position)
		for _, c := range s.BySize(one, m.Metric, with) {
			base := s.One(baseline, m.Metric, summary.With(with, results.Services, strconv.Itoa(c.Services())))
			if base == nil {
				continue
			}
			for round, took := range c.Trials {
				if b, ok := base.Trials[round]; ok {
					x, y = append(x, at.share*float64(c.Services()-1)), append(y, (took-b)*1e9)
				}
			}
		}
	}
	return fit.Linear(x, y)
}
