// Package docs is the project's handbook, so that the program can show it where there is
// no checkout (viplab help TOPIC).
package docs

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.md
var pages embed.FS

// A Page is one file of the handbook.
type Page struct {
	Name  string // as in viplab help NAME
	Title string // its first heading
	Text  string // Markdown
}

// Pages returns the handbook in the order of its file names. An error is a page without a
// heading.
func Pages() ([]Page, error) {
	files, err := pages.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list the handbook: %w", err)
	}
	all := make([]Page, 0, len(files))
	for _, f := range files {
		text, err := pages.ReadFile(f.Name())
		if err != nil {
			return nil, fmt.Errorf("read the handbook's %s: %w", f.Name(), err)
		}
		title, _, _ := strings.Cut(string(text), "\n")
		if !strings.HasPrefix(title, "# ") {
			return nil, fmt.Errorf("the handbook's %s has no heading", f.Name())
		}
		all = append(all, Page{strings.TrimSuffix(f.Name(), ".md"), title[2:], string(text)})
	}
	return all, nil
}
