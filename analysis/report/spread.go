package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"viplab/analysis/summary"
	"viplab/results"
)

// spread is the table of first packets to random Services: percentiles over all
// Services, each with its interval where the sample carries one.
func spread(s *summary.Summary, series []summary.Series) *table {
	t := &table{Title: "First packet over all Services (a random one each)", Head: []string{"TCP connect [95 % interval]"}}
	for _, p := range summary.Percents() {
		t.Head = append(t.Head, fmt.Sprintf("p%02g", p))
	}
	t.Head = append(t.Head, "samples")
	for _, n := range s.Sizes() {
		for _, one := range series {
			c := s.One(one, results.FirstPacket, summary.With(nil, results.Services, strconv.Itoa(n),
				results.Position, "random", results.Protocol, "tcp", results.From, "client"))
			if c == nil {
				continue
			}
			row := []string{fmt.Sprintf("%s, %d Services", one.Label, n)}
			for _, p := range summary.Percents() {
				row = append(row, percentileText(c, p))
			}
			t.Rows = append(t.Rows, append(row, strconv.Itoa(c.N)))
		}
	}
	return t.orNil()
}

func percentileText(c *summary.Cell, p float64) string {
	q := c.Percentile(p)
	if q == nil {
		return "-"
	}
	u := summary.UnitFor(c.Metric, q.Value)
	text := summary.Number(q.Value/u.Scale) + " " + u.Name
	if q.Interval {
		text += fmt.Sprintf(" [%s, %s]", summary.Number(q.Lo/u.Scale), summary.Number(q.Hi/u.Scale))
	}
	return text
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
	t := &table{Title: "Latency of a steady client beside full syncs", Head: []string{"", "p50", "p90", "p99", "p99.9", "longest", "requests"}}
	for _, n := range s.Sizes() {
		for _, one := range series {
			for _, kind := range [][2]string{{results.LiveLatency, "from when it was due"}, {results.LiveService, "from when it was sent"}} {
				c := s.One(one, kind[0], summary.With(nil, results.Services, strconv.Itoa(n)))
				if c == nil {
					continue
				}
				h := hdrhistogram.New(1, hdrHighest, hdrDigits)
				for _, v := range c.Values {
					_ = h.RecordValue(min(int64(v/hdrUnit), hdrHighest)) // in range
				}
				row := []string{fmt.Sprintf("%s, %d Services, %s", one.Label, n, kind[1])}
				for _, q := range quantiles {
					v := float64(h.ValueAtQuantile(q)) * hdrUnit
					u := summary.UnitFor(c.Metric, v)
					row = append(row, summary.Number(v/u.Scale)+" "+u.Name)
				}
				t.Rows = append(t.Rows, append(row, strconv.Itoa(c.N)))
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
	t := &table{Title: fmt.Sprintf("%s, %d Services", title, n), Head: append([]string{"median [95 % interval]"}, levels...)}
	for _, one := range series {
		row := []string{one.Label}
		some := false
		for _, k := range levels {
			c := s.One(one, metric, summary.With(with, results.Services, strconv.Itoa(n), results.Kind, k))
			some = some || c != nil
			row = append(row, strings.TrimSpace(c.Text()+" "+c.Range()))
		}
		if some {
			t.Rows = append(t.Rows, row)
		}
	}
	return t.orNil()
}

// orNil is nil for a table without rows.
func (t *table) orNil() *table {
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}
