package report

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"

	"viplab/analysis/summary"
	"viplab/results"
)

// spread is the table of first packets to random Services: percentiles over all
// Services, each with its interval where the sample carries one.
func spread(s *summary.Summary, series []summary.Series) *table {
	at := summary.With(nil, results.Position, "random", results.Protocol, "tcp", results.From, "client")
	var medians []float64
	for _, one := range series {
		for _, c := range s.BySize(one, results.FirstPacket, at) {
			medians = append(medians, c.Median)
		}
	}
	unit := summary.UnitForAll(results.FirstPacket, medians)
	t := &table{Title: "First packet over all Services (a random one each)", Head: words(labelled("TCP connect [95 % interval]", unit))}
	for _, p := range summary.Percents() {
		t.Head = append(t.Head, word(fmt.Sprintf("p%02g", p)))
	}
	t.Head = append(t.Head, word("samples"))
	for _, n := range s.Sizes() {
		for i, one := range series {
			c := s.One(one, results.FirstPacket, summary.With(at, results.Services, strconv.Itoa(n)))
			if c == nil {
				continue
			}
			row := []entry{{Text: one.Label + ", " + summary.CountServices(n), Bar: -1, Series: i}}
			for _, p := range summary.Percents() {
				row = append(row, percentileText(c, p, unit))
			}
			t.Rows = append(t.Rows, append(row, word(strconv.Itoa(c.N))))
		}
	}
	return t.orNil()
}

func percentileText(c *summary.Cell, p float64, unit results.Scaled) entry {
	q := c.Percentile(p)
	if q == nil {
		return word("-")
	}
	if !q.Interval {
		text, _ := summary.Write(q.Value, q.Value, q.Value, unit)
		return word(text)
	}
	e := word("")
	e.Text, e.Range = summary.Write(q.Value, q.Lo, q.Hi, unit)
	return e
}

// Range and precision of latencies beside updates: 1 µs to 1000 s, three digits.
const (
	hdrUnit    = 1e-6
	hdrHighest = 1e9
	hdrDigits  = 3
)

// live is the table of what a steady client waits for beside full syncs, with
// requests that could not be sent in time counted from when they were due, and
// without that correction.
func live(s *summary.Summary, series []summary.Series) *table {
	quantiles := []float64{50, 90, 99, 99.9, 100}
	unit := results.Seconds.In("ms")
	t := &table{Title: "Latency of a steady client beside full syncs",
		Head: words(labelled("request", unit), "p50", "p90", "p99", "p99.9", "longest", "requests")}
	for _, n := range s.Sizes() {
		for i, one := range series {
			for _, kind := range [][2]string{{results.LiveLatency, "from when it was due"}, {results.LiveService, "from when it was sent"}} {
				c := s.One(one, kind[0], summary.With(nil, results.Services, strconv.Itoa(n)))
				if c == nil {
					continue
				}
				h := hdrhistogram.New(1, hdrHighest, hdrDigits)
				for _, v := range c.Values {
					_ = h.RecordValue(min(int64(v/hdrUnit), hdrHighest)) // in range
				}
				label := fmt.Sprintf("%s, %s, %s%s", one.Label, summary.CountServices(n), kind[1], c.Client())
				row := []entry{{Text: label, Bar: -1, Series: i}}
				for _, q := range quantiles {
					row = append(row, word(summary.Number(float64(h.ValueAtQuantile(q))*hdrUnit/unit.Scale)))
				}
				t.Rows = append(t.Rows, append(row, word(strconv.Itoa(c.N))))
			}
		}
	}
	return t.orNil()
}

// kinds is a table of a metric that is split by the factor kind, at one size, one
// row for each series.
func kinds(s *summary.Summary, series []summary.Series, n int, title, metric string, with map[string]string) *table {
	levels := s.LevelsOf(metric, results.Kind)
	slices.Sort(levels)
	columns := make([][]entry, len(levels))
	t := &table{Title: fmt.Sprintf("%s, %s", title, summary.CountServices(n)), Services: n, Head: words("median [95 % interval]")}
	for i, k := range levels {
		var cells []*summary.Cell
		for _, one := range series {
			cells = append(cells, s.One(one, metric, summary.With(with, results.Services, strconv.Itoa(n), results.Kind, k)))
		}
		var unit results.Scaled
		columns[i], unit, _ = figures(metric, cells)
		t.Head = append(t.Head, word(labelled(k, unit)))
	}
	for i, one := range series {
		row := []entry{{Text: one.Label, Bar: -1, Series: i}}
		some := false
		for _, c := range columns {
			some = some || c[i].Text != "-"
			row = append(row, c[i])
		}
		if some {
			t.Rows = append(t.Rows, row)
		}
	}
	return t.orNil()
}
