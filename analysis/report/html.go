package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"

	"viplab/analysis/plots"
)

//go:embed report.tmpl.html
var htmlTemplate string

//go:embed report.css
var style string

// script switches series and sizes of the page on and off, and opens what is folded for the
// printer. A page without it shows everything.
//
//go:embed report.js
var script string

// html writes the page as one file that needs nothing else.
func (p *page) html() ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"svg":    func(b []byte) template.HTML { return template.HTML(b) }, // our own
		"style":  p.style,
		"script": func() template.JS { return template.JS(script) },
		"bar":    func(e entry) template.CSS { return template.CSS("--bar: " + e.Percent()) },
		"swatch": func(k seriesKey) template.CSS { return template.CSS(fmt.Sprintf("background: var(--s%d)", k.Place)) },
	}).Parse(htmlTemplate)
	if err != nil {
		return nil, fmt.Errorf("parse the report's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return b.Bytes(), nil
}

// style is the page's, with the colours of its series.
func (p *page) style() template.CSS {
	var looks []plots.Look
	for _, one := range p.Series {
		looks = append(looks, one.look)
	}
	return template.CSS(fmt.Sprintf(":root { %s}\n@media screen and (prefers-color-scheme: dark) { :root { %s} }\n%s",
		plots.Colors(looks, false), plots.Colors(looks, true), style))
}
