package report

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// markdown writes the page for reading in a repository or a review.
func (p *page) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n", p.Title)
	for _, s := range p.Answer {
		fmt.Fprintf(&b, "- %s**%s**%s\n", plainText(s.About), plainText(s.Lead), plainText(s.Rest))
	}
	b.WriteString("\n")
	list(&b, "", p.Missing)
	list(&b, "Failed trials", p.Failures)
	list(&b, "What was measured", p.Asked)
	for _, pic := range p.Pictures {
		fmt.Fprintf(&b, "## %s\n\n![%s](plots/%s.svg)\n\n", pic.Title, pic.Title, pic.Name)
		list(&b, "", pic.Notes)
	}
	for _, t := range p.Tables {
		fmt.Fprintf(&b, "## %s\n\n%s|%s\n", plainText(t.Title), markdownRow(t.Head), strings.Repeat("---|", len(t.Head)))
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
		fmt.Fprintf(&b, "| %s | %s |\n", cellText(kv[0]), cellText(kv[1]))
	}
	return b.Bytes()
}

func markdownRow(row []entry) string {
	var b strings.Builder
	for _, e := range row {
		b.WriteString("| " + cellText(e.String()) + " ")
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
		fmt.Fprintf(b, "- %s\n", plainText(it))
	}
	b.WriteString("\n")
}

// plainText writes a text in one line so that Markdown shows it as it is: names and messages
// in a run's records are anybody's, and may look like markup.
func plainText(s string) string {
	s = cellText(s)
	if s != "" && strings.ContainsRune("#[-+", rune(s[0])) {
		return `\` + s
	}
	return s
}

// cellText is plainText for the cell of a table, where no block can begin.
func cellText(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' || unicode.IsControl(r) && r != '\t' }), " ")
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", `\`, `\\`, "`", "\\`", "|", `\|`, "*", `\*`, "](", `]\(`, "]:", `]\:`, "~~", `\~~`).Replace(s)
}
