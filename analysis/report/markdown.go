package report

import (
	"bytes"
	"fmt"
	"strings"
)

// markdown writes the page for reading in a repository or a review.
func (p *page) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n", p.Title)
	for _, s := range p.Answer {
		fmt.Fprintf(&b, "- %s**%s**%s\n", s.About, s.Lead, s.Rest)
	}
	b.WriteString("\n")
	list(&b, "Failed trials", p.Failures)
	list(&b, "What was measured", p.Asked)
	for _, pic := range p.Pictures {
		fmt.Fprintf(&b, "## %s\n\n![%s](plots/%s.svg)\n\n", pic.Title, pic.Title, pic.Name)
		list(&b, "", pic.Notes)
	}
	for _, t := range p.Tables {
		fmt.Fprintf(&b, "## %s\n\n%s|%s\n", t.Title, markdownRow(t.Head), strings.Repeat("---|", len(t.Head)))
		for _, r := range t.Rows {
			b.WriteString(markdownRow(r))
		}
		b.WriteString("\n")
	}
	list(&b, "Method", p.Method)
	list(&b, "Limits", p.Limits)
	list(&b, "Notes", p.Notes)
	if len(p.Again) > 0 {
		b.WriteString("## Run it again\n\n")
		for _, c := range p.Again {
			fmt.Fprintf(&b, "    %s\n", c)
		}
		b.WriteString("\n")
	}
	b.WriteString("## Environment\n\n| | |\n|---|---|\n")
	for _, kv := range p.Env {
		fmt.Fprintf(&b, "| %s | %s |\n", kv[0], kv[1])
	}
	return b.Bytes()
}

func markdownRow(row []entry) string {
	var b strings.Builder
	for _, e := range row {
		b.WriteString("| " + e.String() + " ")
	}
	return b.String() + "|\n"
}

func list(b *bytes.Buffer, title string, items []string) {
	if len(items) == 0 {
		return
	}
	if title != "" {
		fmt.Fprintf(b, "## %s\n\n", title)
	}
	for _, it := range items {
		fmt.Fprintf(b, "- %s\n", strings.ReplaceAll(it, "\n", " "))
	}
	b.WriteString("\n")
}
