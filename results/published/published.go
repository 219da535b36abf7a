// Package published holds points that others published about Service data planes,
// as data, each with where it comes from and how it was obtained.
//
// The provenance of a point must be shown wherever the point is. What is from
// memory only ([Memory]) is never to be presented as published.
package published

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed curves.csv
var curves []byte

//go:embed sources.csv
var sources []byte

// Provenances of points.
const (
	Read    = "S" // read in a source
	Plot    = "P" // read off a published plot
	Derived = "D" // derived by arithmetic from S or P
	Memory  = "M" // from memory, unverified
)

// Provenance is a provenance in words.
func Provenance(code string) string {
	switch code {
	case Read:
		return "read in a source"
	case Plot:
		return "read off a published plot"
	case Derived:
		return "derived by arithmetic from published figures"
	case Memory:
		return "from memory, unverified: not published"
	}
	return "of unknown provenance"
}

// Point is one point of a curve.
type Point struct {
	Target string // R1, R2 ...
	Series string
	// X is the number in XText, 0 if there is none; XText may carry a unit
	// ("10000rules") or be a name.
	X     float64
	XText string
	// Y is the value, or the bound of a censored one (Over), or NaN-free 0 for
	// a word such as "OOM", which YText has.
	Y          float64
	YText      string
	Over, Word bool
	Unit       string
	Provenance string
}

// Source is where a target's points come from.
type Source struct {
	Target, Title, From, Setup string
	// Unknown is what the source does not say, so that levels cannot be compared
	// without it.
	Unknown string
}

// Points lists all points, in the order of the file.
func Points() ([]Point, error) {
	rows, err := read(curves, 6)
	if err != nil {
		return nil, fmt.Errorf("read published curves: %w", err)
	}
	out := make([]Point, 0, len(rows))
	for i, r := range rows {
		p := Point{Target: r[0], Series: r[1], XText: r[2], YText: r[3], Unit: r[4], Provenance: r[5]}
		p.X = leading(p.XText)
		bound, over := strings.CutPrefix(p.YText, ">")
		p.Over = over
		if p.Y, err = strconv.ParseFloat(bound, 64); err != nil {
			p.Word = true
		}
		if !slices.Contains([]string{Read, Plot, Derived, Memory}, p.Provenance) {
			return nil, fmt.Errorf("read published curves: row %d has provenance %q", i+2, p.Provenance)
		}
		out = append(out, p)
	}
	return out, nil
}

// leading is the number that a text starts with, 0 if it does not.
func leading(s string) float64 {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(s)
	}
	v, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return 0
	}
	return v
}

// Sources lists where the points come from, a row a target.
func Sources() ([]Source, error) {
	rows, err := read(sources, 5)
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	out := make([]Source, 0, len(rows))
	for _, r := range rows {
		out = append(out, Source{r[0], r[1], r[2], r[3], r[4]})
	}
	return out, nil
}

// Of lists the points of a target's series, all of them if series is empty.
func Of(points []Point, target, series string) []Point {
	return slices.DeleteFunc(slices.Clone(points), func(p Point) bool {
		return p.Target != target || series != "" && p.Series != series
	})
}

// read reads rows without the header.
func read(data []byte, fields int) ([][]string, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = fields
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	return rows[1:], nil
}
