package kube

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"
)

// splitter cuts a stream of YAML documents into objects without parsing it: at "---", and
// Lists at the dashes of their items. It relies on block style, in which kubectl prints:
// there a line that starts at the column of an item's dash, or left of it, can be nothing
// else, since what belongs to the item is indented deeper, text of many lines too. A List whose
// items are in flow style ("[...]") is one object of its own, which is parsed whole.
type splitter struct {
	yield func(item) error
	line  int

	head   []byte // of the document, without the items of a List
	start  int    // line of the document's first line
	items  bool   // between "items:" and the next key
	isList bool   // it has items
	flow   bool   // they are in flow style, and stand in the head
	dash   int    // column of the items' dashes, -1 before the first
	one    []byte // the item's text so far
	at     int    // line of its first line, or before the first one of "items:"
	skip   int    // column of the field whose lines are left out, -1 for none
}

// unread are the fields of objects that say nothing of Services, and take much of the time
// of parsing. Their lines become empty ones, so that the rest stays where it is.
var unread = map[string]bool{"annotations:": true, "managedFields:": true, "ownerReferences:": true, "targetRef:": true, "selector:": true}

// splitYAML cuts a stream and yields its objects in order.
func splitYAML(r *bufio.Reader, yield func(item) error) error {
	s := splitter{yield: yield, dash: -1, skip: -1}
	for {
		line, err := s.read(r)
		if len(line) > 0 {
			if err := s.take(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return s.endDocument()
		}
		if err != nil {
			return err
		}
	}
}

// read reads a line with its end.
func (s *splitter) read(r *bufio.Reader) ([]byte, error) {
	s.line++
	var out []byte
	for {
		part, err := r.ReadSlice('\n')
		out = append(out, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return out, err
		}
		if len(out) > maxObject {
			return nil, fmt.Errorf("line %d: no Kubernetes object has a line of more than %d MB", s.line, maxObject>>20)
		}
	}
}

// take takes one line.
func (s *splitter) take(line []byte) error {
	text := strings.TrimRight(string(line[:min(len(line), 64)]), " \t\r\n")
	if text == "---" || strings.HasPrefix(text, "--- ") || text == "..." {
		return s.endDocument()
	}
	column := len(line) - len(bytes.TrimLeft(line, " "))
	empty := text == "" || len(bytes.TrimSpace(line)) == 0 || line[column] == '#'
	if s.items && !empty && s.dash < 0 && line[column] == '[' {
		s.inFlow("items:\n" + string(s.one))
	}
	if s.items && !empty {
		if line[column] == '-' && (s.dash < 0 || column == s.dash) {
			if err := s.endItem(); err != nil {
				return err
			}
			s.dash, s.at = column, s.line
			line = bytes.Clone(line)
			line[column] = ' '
		} else if column <= max(s.dash, 0) {
			if err := s.endItem(); err != nil {
				return err
			}
			s.items = false
		} else if s.dash < 0 {
			return fmt.Errorf("line %d: the items of a List are no list", s.line)
		}
	}
	if !s.flow && s.unread(text, column, empty) {
		line = []byte{'\n'}
	}
	if s.items {
		s.one = append(s.one, line...)
		return s.limit(s.one, s.at)
	}
	if value, ok := bytes.CutPrefix(line, []byte("items:")); ok && !s.isList && !s.flow {
		s.at = s.line
		if blank(value) {
			s.items, s.isList, s.dash = true, true, -1
			return nil
		}
		s.inFlow("")
	}
	if len(s.head) == 0 {
		s.start = s.line
	}
	s.head = append(s.head, line...)
	return s.limit(s.head, s.start)
}

// inFlow keeps the items for the end of the document, with lines that have been read of them.
func (s *splitter) inFlow(lines string) {
	if len(s.head) == 0 {
		s.start = s.at
	}
	s.head, s.one = append(s.head, lines...), nil
	s.items, s.isList, s.flow = false, false, true
}

// endFlow yields the items that are in flow style.
func (s *splitter) endFlow() error {
	text, err := yaml.YAMLToJSON(s.head)
	if err != nil {
		return s.yield(item{text: s.head, line: s.start}) // there it is said what is wrong
	}
	var list struct {
		Kind  string            `json:"kind"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("line %d: the items of a List are no list", s.at)
	}
	for _, one := range list.Items {
		if err := s.yield(item{text: one, line: s.at, json: true, list: strings.TrimSuffix(list.Kind, "List")}); err != nil {
			return err
		}
	}
	return nil
}

// unread tells whether a line belongs to a field that nobody reads: its own line, what is
// indented deeper, and the dashes of a list below it.
func (s *splitter) unread(text string, column int, empty bool) bool {
	if s.skip >= 0 && !empty && (column < s.skip || column == s.skip && text[column] != '-') {
		s.skip = -1
	}
	if s.skip < 0 && !empty && column < len(text) && unread[text[column:]] {
		s.skip = column
	}
	return s.skip >= 0
}

func (s *splitter) limit(text []byte, line int) error {
	if len(text) > maxObject {
		return fmt.Errorf("line %d: an object of more than %d MB", line, maxObject>>20)
	}
	return nil
}

// endItem yields the item so far.
func (s *splitter) endItem() error {
	if blank(s.one) {
		s.one = s.one[:0]
		return nil
	}
	err := s.yield(item{text: s.one, line: s.at})
	s.one, s.skip = nil, -1
	return err
}

// endDocument yields the document so far, unless it was a List, whose items were.
func (s *splitter) endDocument() error {
	if err := s.endItem(); err != nil {
		return err
	}
	defer func() { s.head, s.items, s.isList, s.flow, s.dash, s.skip = nil, false, false, false, -1, -1 }()
	if s.flow {
		return s.endFlow()
	}
	if s.isList {
		// kubectl prints the kind behind the items.
		if !bytes.Contains(s.head, []byte("kind:")) {
			return fmt.Errorf("line %d: the List ends without its kind: the file is cut short", s.line)
		}
		return nil
	}
	if blank(s.head) {
		return nil
	}
	return s.yield(item{text: s.head, line: s.start})
}
