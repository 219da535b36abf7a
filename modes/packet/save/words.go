package save

import (
	"errors"
	"strings"
)

// word is one of a rule. Text stood in quotes, and is never an option.
type word struct {
	text   string
	quoted bool
}

// split cuts a rule into words, at spaces outside double quotes; in them a backslash keeps
// the next character.
func split(into []word, line string) ([]word, error) {
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return into, nil
		}
		if line[0] != '"' {
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			into = append(into, word{text: line[:end]})
			line = line[end:]
			continue
		}
		text, rest, err := quoted(line[1:])
		if err != nil {
			return into, err
		}
		into = append(into, word{text, true})
		line = rest
	}
}

// quoted cuts what stands before the closing quote off.
func quoted(line string) (text, rest string, err error) {
	end := strings.IndexAny(line, `"\`)
	if end >= 0 && line[end] == '"' {
		return line[:end], line[end+1:], nil // nothing is escaped
	}
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '"':
			return b.String(), line[i+1:], nil
		case '\\':
			if i++; i == len(line) {
				return "", "", errUnclosed
			}
		}
		b.WriteByte(line[i])
	}
	return "", "", errUnclosed
}

var errUnclosed = errors.New("a quote is not closed: the line was cut off")

// option is one of a match or target with its values.
type option struct {
	name   string
	not    bool
	values []word
}

// value is the only value, "" if there is not exactly one.
func (o option) value() string {
	if len(o.values) != 1 {
		return ""
	}
	return o.values[0].text
}

// block is a match or target with its options.
type block struct {
	name    string
	options []option
	// protocol is set for that of -p: options of a protocol may follow it without -m.
	protocol bool
}

// text is the block as iptables-save has it, after -m or -j.
func (b block) text() string {
	var out strings.Builder
	out.WriteString(b.name)
	for _, o := range b.options {
		if o.not {
			out.WriteString(" !")
		}
		out.WriteString(" " + o.name)
		for _, v := range o.values {
			out.WriteString(" " + v.text)
		}
	}
	return out.String()
}
