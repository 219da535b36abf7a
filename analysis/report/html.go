package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
)

//go:embed report.tmpl.html
var htmlTemplate string

// html writes the page as one file that needs nothing else.
func (p *page) html() ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"svg": func(b []byte) template.HTML {
			// The XML prologue has no place inside an HTML document.
			if i := bytes.Index(b, []byte("<svg")); i > 0 {
				b = b[i:]
			}
			return template.HTML(b)
		},
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
