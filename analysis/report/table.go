package report

import (
	"fmt"
	"math"
	"strings"

	"viplab/analysis/summary"
	"viplab/results"
)

// table is one of the report's.
type table struct {
	Title string
	// Services is the size that it is about, 0 if that is none or several.
	Services int
	Head     []entry
	Rows     [][]entry
}

// entry is a field of a table.
type entry struct {
	// Text is what stands there, Range the interval beside it.
	Text, Range string
	// Bar is the value as a share of the largest of its row, negative for none.
	Bar float64
	// Series is the place of the series that it is of, negative for none.
	Series int
}

// word is an entry of a text alone.
func word(text string) entry { return entry{Text: text, Bar: -1, Series: -1} }

func words(texts ...string) []entry {
	out := make([]entry, len(texts))
	for i, t := range texts {
		out[i] = word(t)
	}
	return out
}

// plain makes a table of texts alone, the first row being its head.
func plain(title string, rows [][]string) *table {
	t := &table{Title: title, Head: words(rows[0]...)}
	for _, r := range rows[1:] {
		t.Rows = append(t.Rows, words(r...))
	}
	return t
}

// heads are the labels of series, after what stands above the first column.
func heads(first string, series []summary.Series) []entry {
	out := words(first)
	for i, one := range series {
		out = append(out, entry{Text: one.Label, Bar: -1, Series: i})
	}
	return out
}

// String is the entry in one line.
func (e entry) String() string { return strings.TrimSpace(e.Text + " " + e.Range) }

// figures writes cells of one metric, any of which may be nil, in the one unit that suits
// all of them, with a bar for each. ok is false if all are nil.
func figures(metric string, cells []*summary.Cell) (out []entry, unit results.Scaled, ok bool) {
	var values []float64
	largest := 0.0
	for _, c := range cells {
		if c != nil {
			values = append(values, c.Median)
			largest = max(largest, math.Abs(c.Median))
			if c.Median == 0 && c.Interval {
				values = append(values, c.Hi)
			}
		}
	}
	unit = summary.UnitForAll(metric, values)
	for i, c := range cells {
		text, interval := c.In(unit)
		e := entry{Text: text, Range: interval, Bar: -1, Series: i}
		if c != nil && largest > 0 {
			e.Bar = math.Abs(c.Median) / largest
		}
		out = append(out, e)
	}
	return out, unit, len(values) > 0
}

// labelled is a label with a unit behind it.
func labelled(label string, u results.Scaled) string {
	if u.Name == "" {
		return label
	}
	return label + ", " + u.Name
}

// orNil is nil for a table without rows.
func (t *table) orNil() *table {
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

// Percent is the bar's length for the page's style.
func (e entry) Percent() string { return fmt.Sprintf("%.1f%%", 100*e.Bar) }
