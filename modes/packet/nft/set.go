package nft

import (
	"encoding/json"
	"fmt"
	"slices"
)

// set is a set or map with a name.
type set struct {
	name  string
	isMap bool
	raw   []json.RawMessage // lists of elements
	// index is made when the set is first looked up.
	index *elements
	known []string // the chains that its verdicts lead to, once they were needed
	found bool
}

func (rs *Ruleset) addSet(e *entry) error {
	t, err := rs.of(e, "set "+e.Name)
	if err != nil {
		return err
	}
	if t.sets[e.Name] != nil {
		return fmt.Errorf("set %s of table %s %s is there twice", e.Name, t.family, t.name)
	}
	s := &set{name: e.Name, isMap: len(e.Map) > 0}
	if len(e.Elem) > 0 {
		s.raw = append(s.raw, e.Elem)
	}
	t.sets[e.Name] = s
	return nil
}

// addElements takes elements over that stand apart from their set.
func (rs *Ruleset) addElements(e *entry) error {
	t, err := rs.of(e, "an element of "+e.Name)
	if err != nil {
		return err
	}
	s := t.sets[e.Name]
	if s == nil {
		return fmt.Errorf("an element of set %s, which table %s %s does not have", e.Name, t.family, t.name)
	}
	s.raw = append(s.raw, e.Elem)
	return nil
}

// targets are the chains that a map of verdicts leads to.
func (s *set) targets() []string {
	if !s.found {
		for _, raw := range s.raw {
			s.known = append(s.known, named(raw)...)
		}
		slices.Sort(s.known)
		s.known, s.found = slices.Compact(s.known), true
	}
	return s.known
}

func (s *set) count() (n int) {
	for _, raw := range s.raw {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			n += len(list)
		}
	}
	return n
}

// elements are those of a set or map, ready for look-ups.
type elements struct {
	exact map[string]element
	// wide are those that hold more than one value.
	wide []element
}

// element is one of a set, or, with data, of a map.
type element struct{ key, data any }

// elements makes the index.
func (s *set) elements() *elements {
	if s.index == nil {
		s.index = &elements{exact: map[string]element{}}
		for _, raw := range s.raw {
			var list []any
			if err := json.Unmarshal(raw, &list); err != nil {
				var one any
				if json.Unmarshal(raw, &one) == nil {
					list = []any{one}
				}
			}
			s.index.add(list, s.isMap)
		}
	}
	return s.index
}

func indexOf(list []any, isMap bool) *elements {
	out := &elements{exact: map[string]element{}}
	out.add(list, isMap)
	return out
}

func (e *elements) add(list []any, isMap bool) {
	for _, one := range list {
		var el element
		el.key = one
		if pair, ok := one.([]any); isMap && ok && len(pair) == 2 {
			el.key, el.data = pair[0], pair[1]
		}
		el.key = bare(el.key)
		if name, ok := exact(el.key); ok {
			e.exact[name] = el
		} else {
			e.wide = append(e.wide, el)
		}
	}
}

// bare is an element without its timeout, counter and comment.
func bare(e any) any {
	if m, ok := e.(map[string]any); ok {
		if inner, ok := m["elem"].(map[string]any); ok {
			return inner["val"]
		}
	}
	return e
}
