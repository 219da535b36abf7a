package nft

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// loops looks for chains that lead back to themselves and for such that are not there,
// neither of which the kernel takes. What rules say beside that is read later.
func (t *table) loops() error {
	const open, done = 1, 2
	state := make(map[string]int, len(t.chains))
	var walk func(c *chain) error
	walk = func(c *chain) error {
		state[c.name] = open
		for _, r := range c.rules {
			for _, name := range t.targets(r.raw) {
				next := t.chains[name]
				switch {
				case next == nil:
					return fmt.Errorf("table %s %s: rule %d of chain %s leads to chain %s, which is not there", t.family, t.name, r.handle, c.name, name)
				case state[name] == open:
					return fmt.Errorf("table %s %s: rule %d of chain %s leads back to chain %s: the kernel takes no loops", t.family, t.name, r.handle, c.name, name)
				case state[name] == done:
					continue
				}
				if err := walk(next); err != nil {
					return err
				}
			}
		}
		state[c.name] = done
		return nil
	}
	for _, c := range t.order {
		if state[c.name] == 0 {
			if err := walk(c); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	targetKey = []byte(`"target"`)
	setName   = []byte(`"@`)
)

// targets are the chains that a rule can lead to: those that it names, and those of the
// maps that it looks up.
func (t *table) targets(raw []byte) []string {
	out := named(raw)
	for rest := raw; ; {
		at := bytes.Index(rest, setName)
		if at < 0 {
			return out
		}
		rest = rest[at+len(setName):]
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			return out
		}
		if s := t.sets[string(rest[:end])]; s != nil && s.isMap {
			out = append(out, s.targets()...)
		}
	}
}

// named are the chains that a text names as targets.
func named(raw []byte) (out []string) {
	for rest := raw; ; {
		at := bytes.Index(rest, targetKey)
		if at < 0 {
			return out
		}
		rest = bytes.TrimLeft(rest[at+len(targetKey):], ": \t\n\r")
		if len(rest) == 0 || rest[0] != '"' {
			continue
		}
		end := 1
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		var name string
		if end >= len(rest) || json.Unmarshal(rest[:end+1], &name) != nil {
			return out
		}
		out = append(out, name)
		rest = rest[end+1:]
	}
}
