package report

import (
	"fmt"
	"strconv"

	"viplab/analysis/fit"
	"viplab/analysis/summary"
	"viplab/results"
)

// flatBelow is the size below which a cost is dominated by what does not
// depend on the number of Services, such as starting a tool; it is left out of
// exponents.
const flatBelow = 1000

// growth is a table of how costs grow: exponents of updates, and what one
// Service before a packet's own costs its first packet.
func growth(s *summary.Summary, series []summary.Series) *table {
	t := &table{
		Title: "Growth with the number of Services",
		Head:  []string{"fit [95 % interval]", "full sync, exponent", "add a Service, exponent", "first packet, ns for each Service before it"},
	}
	for _, one := range series {
		row := []string{one.Label,
			exponent(s, one, results.SyncFull, nil),
			exponent(s, one, results.SyncDelta, map[string]string{results.Change: "service-add"}),
			slope(s, one),
		}
		if row[1]+row[2]+row[3] != "---" {
			t.Rows = append(t.Rows, row)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

// exponent fits the growth of a cost from flatBelow Services on, through the
// median of every trial.
func exponent(s *summary.Summary, one summary.Series, metric string, with map[string]string) string {
	var x, y []float64
	sizes := map[int]bool{}
	for _, c := range s.Select(metric, one.With(with)) {
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

// slope fits the first packet's TCP round trip, less that of direct in the same
// round, against the number of Services before the one that is asked.
func slope(s *summary.Summary, one summary.Series) string {
	var x, y []float64
	for _, at := range []struct {
		position string
		share    float64
	}{{"first", 0}, {"middle", 0.5}, {"last", 1}} {
		with := map[string]string{results.Position: at.position, results.Protocol: "tcp", results.From: "client"}
		for _, c := range s.Select(results.FirstPacket, one.With(with)) {
			base := s.One(results.FirstPacket, map[string]string{
				results.Mode: "direct", results.Services: strconv.Itoa(c.Services()),
				results.Position: at.position, results.Protocol: "tcp", results.From: "client",
			})
			if base == nil {
				continue
			}
			for round, m := range c.Trials {
				if b, ok := base.Trials[round]; ok {
					x, y = append(x, at.share*float64(c.Services()-1)), append(y, (m-b)*1e9)
				}
			}
		}
	}
	l, err := fit.Linear(x, y)
	if err != nil || one.Mode == "direct" {
		return "-"
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", l.Slope, l.Lo(), l.Hi())
}
