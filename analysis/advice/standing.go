package advice

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"viplab/analysis/summary"
	"viplab/results"
)

// Entry is a variant's value.
type Entry struct {
	Label string `json:"label"`
	// Mode is the variant's.
	Mode  string  `json:"mode"`
	Value float64 `json:"value"`
	// Lo and Hi bound Value at the level of [summary.Confidence], if Interval is set.
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
	Interval bool    `json:"interval"`
	// Over is set where what was measured was cut off: the value is more than Value.
	Over bool `json:"over,omitempty"`
	// HalfOver is set where that was so in half of the rounds or more. In fewer of them it
	// may be those that strayed.
	HalfOver bool `json:"half_over,omitempty"`
	// Samples is how many Value is the median of, 0 for what is simulated.
	Samples int `json:"samples"`
	// Simulated is set where nothing was measured: then Lo and Hi are what the simulation
	// was off by on sizes that it was not fitted to, which is no interval of confidence.
	Simulated bool `json:"simulated,omitempty"`
}

// Standing is how variants stand at one Question.
type Standing struct {
	Question Question `json:"-"`
	Name     string   `json:"question"`
	// Metric is what values are of; its name ends in their unit.
	Metric   string `json:"metric"`
	Services int    `json:"services"`
	// Leaders are the best, and all whose intervals overlap its: they cannot be told
	// apart from it.
	Leaders []Entry `json:"leaders"`
	// Behind are the others that have an interval, the better ones first.
	Behind []Entry `json:"behind,omitempty"`
	// Unplaced are those of too few samples for an interval.
	Unplaced []Entry `json:"unplaced,omitempty"`
	// Limit is the value of the baseline, which is no competitor.
	Limit *Entry `json:"limit,omitempty"`
}

// Ask ranks the series of a run at a number of Services; forecast fills in what was not
// measured, and may be nil.
func Ask(q Question, s *summary.Summary, series []summary.Series, n int, forecast Forecast) Standing {
	out := Standing{Question: q, Name: q.Name, Metric: q.Metric, Services: n, Leaders: []Entry{}}
	var all []Entry
	for _, one := range series {
		e, ok := entry(q, s, one, n)
		if !ok && forecast != nil {
			e, ok = forecast(q, one, n)
		}
		switch {
		case !ok:
		case one.Baseline:
			out.Limit = &e
		case !e.Interval:
			out.Unplaced = append(out.Unplaced, e)
		default:
			all = append(all, e)
		}
	}
	out.place(all)
	q.sort(out.Unplaced)
	return out
}

// Forecast is the value of a series at a number of Services that was not measured.
type Forecast func(q Question, one summary.Series, n int) (Entry, bool)

// entry is what was measured.
func entry(q Question, s *summary.Summary, one summary.Series, n int) (Entry, bool) {
	c := s.One(one, q.Metric, summary.With(q.At, results.Services, strconv.Itoa(n)))
	if c == nil {
		return Entry{}, false
	}
	// A median that was cut off has no interval: the true one may be anywhere above.
	return Entry{Label: one.Label, Mode: one.Mode, Value: c.Median, Lo: c.Lo, Hi: c.Hi, Interval: c.Interval && !c.Over,
		Over: c.Over, HalfOver: c.Over && 2*c.Cut >= len(c.Trials), Samples: c.N}, true
}

// place sorts entries into leaders and others.
func (s *Standing) place(all []Entry) {
	s.Question.sort(all)
	for _, e := range all {
		if e.Lo <= all[0].Hi && all[0].Lo <= e.Hi {
			s.Leaders = append(s.Leaders, e)
		} else {
			s.Behind = append(s.Behind, e)
		}
	}
}

// Empty tells whether there is nothing to say.
func (s Standing) Empty() bool { return len(s.Leaders)+len(s.Behind)+len(s.Unplaced) == 0 }

// Beyond is the entries that are better than the limit, beyond doubt by their intervals.
// Since no mode can be, the run strayed by more than the intervals say.
func (s Standing) Beyond() []Entry {
	var out []Entry
	if l := s.Limit; l != nil && l.Interval {
		for _, e := range s.Leaders {
			if s.Question.less(e.Value, l.Value) && (e.Lo > l.Hi || e.Hi < l.Lo) {
				out = append(out, e)
			}
		}
	}
	return out
}

// Text is one sentence. A difference is stated only where intervals part two variants.
func (s Standing) Text() string {
	lead, rest := s.Sentence()
	return lead + rest
}

// Sentence is Text in two parts: who leads, and what else there is, from its separator on.
func (s Standing) Sentence() (lead, rest string) {
	if b := s.Beyond(); len(b) > 0 {
		return "no finding", fmt.Sprintf(": %s has %s, which is better than without a Service (%s, %s) and so cannot be; what "+
			"strayed between trials is more than the intervals say", b[0].Label, s.show(b[0]), s.Limit.Label, s.show(*s.Limit))
	}
	for _, e := range s.Behind {
		rest += fmt.Sprintf("; %s is behind by %s", e.Label, s.gap(e))
	}
	for _, e := range s.Unplaced {
		rest += fmt.Sprintf("; %s has %s", e.Label, s.show(e))
	}
	if s.Limit != nil {
		rest += fmt.Sprintf("; without a Service (%s) it is %s", s.Limit.Label, s.show(*s.Limit))
	}
	return s.lead(), rest
}

// lead says who leads.
func (s Standing) lead() string {
	switch len(s.Leaders) {
	case 0:
		if !slices.ContainsFunc(s.Unplaced, func(e Entry) bool { return !e.Simulated }) {
			return "simulated, with an error that is not known, so nothing can be told apart"
		}
		return "too few samples for intervals, so nothing can be told apart"
	case 1:
		word := "alone has an interval"
		if len(s.Behind) > 0 {
			word = "is ahead"
			if m, _ := results.FindMetric(s.Question.Metric); m.Unit == results.Seconds {
				word = "takes least"
			}
		}
		return fmt.Sprintf("%s %s, %s", s.Leaders[0].Label, word, s.show(s.Leaders[0]))
	}
	var names []string
	for _, e := range s.Leaders {
		names = append(names, e.Label+" ("+s.show(e)+")")
	}
	return and(names) + " cannot be told apart"
}

// show writes a value with its interval, its unit, and where it is from.
func (s Standing) show(e Entry) string {
	u := summary.UnitFor(s.Question.Metric, max(e.Value, e.Hi))
	if !e.Interval {
		value, _ := summary.Write(e.Value, e.Value, e.Value, u)
		if e.Simulated {
			return value + " " + u.Name + ", simulated"
		}
		if e.Over {
			value = "more than " + value
		}
		return fmt.Sprintf("%s %s (n=%d)", value, u.Name, e.Samples)
	}
	value, interval := summary.Write(e.Value, e.Lo, e.Hi, u)
	if e.Simulated {
		interval += ", simulated"
	}
	return value + " " + u.Name + " " + interval
}

// Gap is how far an entry is behind the best, never negative, with the least and the most
// that the two intervals allow.
func (s Standing) Gap(e Entry) (gap, lo, hi float64) {
	best := s.Leaders[0]
	if m, _ := results.FindMetric(s.Question.Metric); m.Better == results.More {
		return best.Value - e.Value, best.Lo - e.Hi, best.Hi - e.Lo
	}
	return e.Value - best.Value, e.Lo - best.Hi, e.Hi - best.Lo
}

func (s Standing) gap(e Entry) string {
	v, lo, hi := s.Gap(e)
	u := summary.UnitFor(s.Question.Metric, max(v, hi))
	value, interval := summary.Write(v, lo, hi, u)
	if e.Simulated || s.Leaders[0].Simulated {
		interval += ", simulated"
	}
	return value + " " + u.Name + " " + interval
}

// and joins names as a sentence does.
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
