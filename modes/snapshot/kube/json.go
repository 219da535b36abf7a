package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// splitJSON cuts a stream of JSON objects, and the items of Lists among them, into
// objects and yields them in order.
func splitJSON(r io.Reader, yield func(item) error) error {
	in := &counter{r: r}
	dec := json.NewDecoder(in)
	s := jsonSplitter{in, dec, yield}
	for {
		err := s.document()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("line %d: the file is cut short", s.line())
		}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("line %d: %w", s.line(), err)
		}
		if err != nil {
			return err
		}
	}
}

type jsonSplitter struct {
	in    *counter
	dec   *json.Decoder
	yield func(item) error
}

// document reads one object, and yields it, or its items.
func (s *jsonSplitter) document() error {
	s.in.since = 0
	open, err := s.dec.Token()
	if err != nil {
		return err
	}
	line := s.line()
	switch open {
	case json.Delim('{'):
	case json.Delim('['):
		return fmt.Errorf("line %d: no Kubernetes object: %s", line, bareList)
	default:
		return fmt.Errorf("line %d: no Kubernetes object: %v", line, open)
	}
	fields, kind, list := bytes.NewBufferString("{"), "", false
	for s.dec.More() {
		name, err := s.dec.Token()
		if err != nil {
			return err
		}
		if name == "items" {
			if list, err = s.items(strings.TrimSuffix(kind, "List")); err != nil {
				return err
			}
			continue
		}
		var value json.RawMessage
		if err := s.dec.Decode(&value); err != nil {
			return ended(err)
		}
		if name == "kind" {
			_ = json.Unmarshal(value, &kind)
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return fmt.Errorf("line %d: %w", s.line(), err)
		}
		if fields.Len() > 1 {
			fields.WriteByte(',')
		}
		fields.Write(quoted)
		fields.WriteByte(':')
		fields.Write(value)
	}
	if _, err := s.dec.Token(); err != nil {
		return ended(err)
	}
	if list {
		return nil
	}
	fields.WriteByte('}')
	return s.yield(item{text: fields.Bytes(), line: line, json: true})
}

// items yields the items of a List, and says whether it was one.
func (s *jsonSplitter) items(kind string) (bool, error) {
	open, err := s.dec.Token()
	if err != nil {
		return false, ended(err)
	}
	if open != json.Delim('[') {
		return false, fmt.Errorf("line %d: the items of a List are no list", s.line())
	}
	for s.dec.More() {
		s.in.since = 0
		var one json.RawMessage
		if err := s.dec.Decode(&one); err != nil {
			return false, ended(err)
		}
		line := s.line() - bytes.Count(one, []byte("\n"))
		if err := s.yield(item{text: one, line: line, json: true, list: kind}); err != nil {
			return false, err
		}
	}
	if _, err = s.dec.Token(); err != nil {
		return false, ended(err)
	}
	return true, nil
}

// ended is an error inside of an object, where the end of the file comes too early.
func ended(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// line is the line that the decoder has come to.
func (s *jsonSplitter) line() int {
	ahead := 0
	var buf [4096]byte
	for r := s.dec.Buffered(); ; {
		n, err := r.Read(buf[:])
		ahead += bytes.Count(buf[:n], []byte("\n"))
		if err != nil {
			return 1 + s.in.lines - ahead
		}
	}
}

// counter counts the lines of what it reads, and ends where one object takes too much.
type counter struct {
	r     io.Reader
	lines int
	since int // bytes since the last object began
}

// Read implements [io.Reader].
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.lines += bytes.Count(p[:n], []byte("\n"))
	if c.since += n; c.since > 2*maxObject {
		return n, fmt.Errorf("line %d: an object of more than %d MB", c.lines, maxObject>>20)
	}
	return n, err
}
