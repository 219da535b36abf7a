package report

import (
	"fmt"
	"strconv"
	"strings"

	"viplab/analysis/summary"
	"viplab/results"
)

// question is what the answer says which variant is best at.
type question struct {
	// what names the thing in the answer; subject begins the verdict's sentence, with
	// the number of Services, and is empty for what the verdict does not mention.
	what, subject string
	metric        string
	at            map[string]string
}

// questions lists them. Which values are the better ones, the metric knows.
func questions() []question {
	return []question{
		{"One Service added", "At %d Services, for a Service that is added", results.SyncDelta, summary.With(nil, results.Change, "service-add")},
		{"Programming all", "", results.SyncFull, nil},
		{"The first packet to the last Service", "For the first packet of a connection to the last of %d Services", results.FirstPacket,
			summary.With(nil, results.Position, "last", results.Protocol, "tcp", results.From, "client")},
		{"New connections", "", results.ConnectionsRate, nil},
		{"Bulk data through the last Service", "", results.Throughput, summary.With(nil, results.Position, "last")},
	}
}

// answer says in a few sentences what the data support, at the largest size.
// A difference is stated only where the intervals do not touch.
func answer(s *summary.Summary, series []summary.Series, n int) []string {
	var out []string
	for _, q := range questions() {
		if text := q.rank(s, series, n); text != "" {
			out = append(out, fmt.Sprintf("%s, at %d Services: %s.", q.what, n, text))
		}
	}
	return out
}

// verdict is the answer in two sentences: one on change, one on packets.
func verdict(s *summary.Summary, series []summary.Series, n int) string {
	var out []string
	for _, q := range questions() {
		if text := q.rank(s, series, n); q.subject != "" && text != "" {
			out = append(out, fmt.Sprintf(q.subject+" %s.", n, text))
		}
	}
	return strings.Join(out, " ")
}

// rank names the best and the worst series and how far they are apart.
func (q question) rank(s *summary.Summary, series []summary.Series, n int) string {
	m, _ := results.FindMetric(q.metric)
	better := func(a, b float64) bool { return a < b == (m.Better == results.Less) }
	var best, worst *summary.Cell
	var bestName, worstName string
	for _, one := range series {
		c := s.One(one, q.metric, summary.With(q.at, results.Services, strconv.Itoa(n)))
		if c == nil || one.Baseline {
			continue
		}
		if best == nil || better(c.Median, best.Median) {
			best, bestName = c, one.Label
		}
		if worst == nil || better(worst.Median, c.Median) {
			worst, worstName = c, one.Label
		}
	}
	if best == nil || best == worst {
		return ""
	}
	if best.Interval && worst.Interval && best.Lo <= worst.Hi && worst.Lo <= best.Hi {
		return fmt.Sprintf("no mode is better beyond doubt (%s %s, %s %s; their intervals overlap)", bestName, best.Text(), worstName, worst.Text())
	}
	ratio := max(worst.Median/best.Median, best.Median/worst.Median)
	text := fmt.Sprintf("%s is best with %s, %s worst with %s (%s times)", bestName, best.Text(), worstName, worst.Text(), summary.Number(ratio))
	if !best.Interval || !worst.Interval {
		text += ", from too few samples for intervals"
	}
	return text
}
