package plots

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"strconv"

	"viplab/results"
)

// CSV is the data of a picture, one row a point.
func (p Picture) CSV() ([]byte, error) {
	x := cmp.Or(p.XLabel, "services")
	if p.Timeline {
		x = "seconds"
	}
	rows := [][]string{{"panel", "series", "source", x, withUnit(p.YLabel, p.Unit), "low", "high"}}
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			for _, pt := range s.Points {
				rows = append(rows, []string{panel.Title, s.Label, s.Source.String(), number(pt.X), number(pt.Y), number(pt.Lo), number(pt.Hi)})
			}
		}
	}
	return table(rows)
}

// CSV is the data of a stack, one row a part.
func (s Stack) CSV() ([]byte, error) {
	rows := [][]string{{"bar", "part", withUnit(s.XLabel, s.Unit)}}
	for i, bar := range s.Bars {
		for _, part := range s.Parts {
			rows = append(rows, []string{bar, part.Label, number(part.Lengths[i])})
		}
	}
	return table(rows)
}

// withUnit is the label of an axis with its base unit.
func withUnit(label string, u results.Unit) string {
	if u == results.None {
		return label
	}
	return label + ", " + string(u)
}

// String names a source.
func (s Source) String() string {
	return [...]string{"measured", "published", "simulated", "from memory"}[s]
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func table(rows [][]string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("write CSV: %w", err)
	}
	return b.Bytes(), nil
}
