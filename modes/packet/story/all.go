package story

import (
	"embed"
	"fmt"
)

//go:embed stories/*.txt
var files embed.FS

// All reads the lab's own stories.
func All() ([]Book, error) {
	entries, err := files.ReadDir("stories")
	if err != nil {
		return nil, fmt.Errorf("list stories: %w", err)
	}
	var out []Book
	for _, e := range entries {
		f, err := files.Open("stories/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("open stories: %w", err)
		}
		b, err := Read(e.Name(), f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}
