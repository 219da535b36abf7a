package play

import (
	"embed"
	"fmt"
	"os"
	"path"
	"strings"

	"viplab/modes/catalog"
)

//go:embed scripts/*.txt
var scripts embed.FS

// All reads the lab's own scenarios, played in modes of a catalog.
func All(known catalog.Catalog) ([]Script, error) {
	entries, err := scripts.ReadDir("scripts")
	if err != nil {
		return nil, fmt.Errorf("list scenarios: %w", err)
	}
	var out []Script
	for _, e := range entries {
		f, err := scripts.Open(path.Join("scripts", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("open scenario: %w", err)
		}
		s, err := Read(strings.TrimSuffix(e.Name(), ".txt"), f, known)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Find is one of the lab's own scenarios by name, or the one in a file.
func Find(name string, known catalog.Catalog) (Script, error) {
	all, err := All(known)
	if err != nil {
		return Script{}, err
	}
	var names []string
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	f, err := os.Open(name)
	if err != nil {
		return Script{}, fmt.Errorf("unknown scenario %q: valid are %s, or a file", name, strings.Join(names, ", "))
	}
	defer f.Close()
	return Read(path.Base(strings.TrimSuffix(name, ".txt")), f, known)
}
