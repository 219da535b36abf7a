package story

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed stories/*.txt
var files embed.FS

// Text is a file of stories that is not read yet.
type Text struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Read reads the stories, of which there is to be one at least.
func (t Text) Read() (Book, error) {
	b, err := Read(t.Name, strings.NewReader(t.Text))
	if err == nil && len(b.Stories) == 0 {
		err = fmt.Errorf("%s: it tells no story", t.Name)
	}
	return b, err
}

// Texts are the lab's own stories as they are written.
func Texts() ([]Text, error) {
	entries, err := files.ReadDir("stories")
	if err != nil {
		return nil, fmt.Errorf("list stories: %w", err)
	}
	var out []Text
	for _, e := range entries {
		b, err := files.ReadFile("stories/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read stories: %w", err)
		}
		out = append(out, Text{e.Name(), string(b)})
	}
	return out, nil
}

// All reads the lab's own stories.
func All() ([]Book, error) {
	texts, err := Texts()
	if err != nil {
		return nil, err
	}
	var out []Book
	for _, t := range texts {
		b, err := t.Read()
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}
