package rules

import (
	"bufio"
	"io"
	"iter"
	"strconv"
	"strings"
)

// Call is one change of iptables that takes a program start of its own.
type Call struct {
	Table, Chain string
	// Verb is ":" (make the chain, or flush it), "-A", "-I", "-D" or "-X".
	Verb string
	// At is the rule number of -I, and of -D where there is no Spec.
	At   int
	Spec []string
}

// Calls lists the edit from one Ruleset to another as single changes: how rules
// were written before iptables-restore was used.
func Calls(from, to Ruleset) iter.Seq[Call] {
	return func(yield func(Call) bool) {
		r, w := io.Pipe()
		defer r.Close() // ends the writer, should the reader stop early
		go func() {
			_, err := Edit(bufio.NewWriter(w), from, to)
			w.CloseWithError(err)
		}()
		table := ""
		for lines := bufio.NewScanner(r); lines.Scan(); {
			line := lines.Text()
			if line[0] == '*' {
				table = line[1:]
			} else if line != "COMMIT" && !yield(call(table, line)) {
				return
			}
		}
	}
}

func call(table, line string) Call {
	words := split(line)
	if line[0] == ':' {
		return Call{Table: table, Verb: ":", Chain: words[0][1:]}
	}
	c := Call{Table: table, Verb: words[0], Chain: words[1], Spec: words[2:]}
	if len(c.Spec) > 0 {
		if at, err := strconv.Atoi(c.Spec[0]); err == nil {
			c.At, c.Spec = at, c.Spec[1:]
		}
	}
	return c
}

// split splits a line at spaces outside double quotes.
func split(line string) []string {
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}
