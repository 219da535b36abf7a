// Package dump reads what the tools of a real node wrote of its rules, and follows packets
// through that: iptables-save and ip6tables-save, nft -j list ruleset, ipset save, and
// ipvsadm -Sn. One file can have several of them, one after the other.
//
// What it does not know it does not guess. A packet that meets an unknown condition is
// followed both ways; if they end differently, the trace stops there and says so. An
// unknown target stops it at once.
package dump

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"viplab/modes"
	"viplab/modes/packet/ipset"
	"viplab/modes/packet/nft"
	"viplab/modes/packet/save"
	"viplab/modes/plaintext"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Dump is all that was read of a node.
type Dump struct {
	// Files are what was read, by name.
	Files []string
	// Notes are what the tools had to say, and what of the dumps is left out.
	Notes []string

	tables   []save.Table
	sets     ipset.Sets
	rulesets []*nft.Ruleset
	servers  servers
}

// New is one without anything in it.
func New() *Dump { return &Dump{sets: ipset.Sets{}} }

// Read reads the dumps of some files.
func Read(paths []string, stdin io.Reader) (*Dump, error) {
	d := New()
	for _, path := range paths {
		name, data, err := load(path, stdin)
		if err != nil {
			return nil, err
		}
		if err := d.Add(name, data); err != nil {
			return nil, err
		}
	}
	// One file may hold no more than a tool's remark, where the others have the rules.
	if len(d.tables)+len(d.sets)+len(d.rulesets)+len(d.servers.list) == 0 {
		return nil, fmt.Errorf("there is no rule in %s: %s", strings.Join(d.Files, ", "), wanted)
	}
	d.Finish()
	return d, nil
}

// wanted is what to give instead of what is no dump.
const wanted = "want what iptables-save, nft -j list ruleset, ipset save or ipvsadm -Sn writes"

// Finish is what can be said when all dumps are added: iptables-save shows the tables of
// iptables-nft better than nft, which does not know what its matches and targets are.
func (d *Dump) Finish() {
	for _, rs := range d.rulesets {
		rs.Drop(func(f modes.Family, name string) bool {
			return slices.ContainsFunc(d.tables, func(t save.Table) bool { return t.NFT && t.Family == f && t.Name == name })
		})
		d.Notes = append(d.Notes, rs.Notes...)
	}
}

func load(path string, stdin io.Reader) (name string, data []byte, err error) {
	name = "standard input"
	if path != Stdin {
		file, err := os.Open(path)
		if err != nil {
			return path, nil, fmt.Errorf("read rules: %w", err)
		}
		defer file.Close()
		name, stdin = path, file
	}
	if data, err = io.ReadAll(plaintext.Reader(stdin)); err != nil {
		return name, nil, fmt.Errorf("read rules: %w", err)
	}
	return name, data, nil
}

// Add takes a dump over; name stands for it in errors, which are whole sentences.
func (d *Dump) Add(name string, data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return fmt.Errorf("%s is empty: %s", name, wanted)
	}
	d.Files = append(d.Files, name)
	r := reader{Dump: d, name: name, save: &save.Reader{File: name, Sets: d.sets}}
	if err := r.all(data); err != nil {
		return fmt.Errorf("%s:%d: %w", name, r.line, err)
	}
	for _, t := range r.save.Tables {
		if err := d.addTable(t); err != nil {
			return err
		}
	}
	d.Notes = append(d.Notes, r.save.Notes...)
	return nil
}

// reader is the state of reading one file.
type reader struct {
	*Dump
	name string
	line int
	save *save.Reader
}

// ruleset reads what nft wrote, from where it begins, and says how long it is.
func (r *reader) ruleset(data []byte) (int, error) {
	rs, at, err := nft.Read(r.name, bytes.NewReader(data))
	if err != nil {
		r.line += bytes.Count(data[:at], []byte("\n"))
		return 0, err
	}
	r.rulesets = append(r.rulesets, rs)
	return int(at), nil
}

// all reads the dumps of a file, one after the other.
func (r *reader) all(data []byte) error {
	for rest := data; len(rest) > 0; {
		r.line++
		if rest[0] == '{' && !r.save.Open() {
			n, err := r.ruleset(rest)
			if err != nil {
				return err
			}
			r.line += bytes.Count(rest[:n], []byte("\n"))
			if rest = rest[n:]; len(rest) > 0 && rest[0] == '\n' {
				rest = rest[1:]
			}
			continue
		}
		line := rest
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		if err := r.take(strings.TrimRight(string(line), " \t\r")); err != nil {
			return err
		}
	}
	return r.save.End()
}

// take takes a line over, of whichever dump it is.
func (r *reader) take(line string) error {
	switch {
	case r.save.Open():
		return r.save.Read(r.line, line)
	case line == "":
		return nil
	case !utf8.ValidString(line) || strings.IndexByte(line, 0) >= 0:
		return fmt.Errorf("it is no text: %s", wanted)
	case ipset.IsLine(line):
		return r.sets.Read(line)
	case isServer(line):
		return r.servers.read(line, fmt.Sprintf("%s:%d", r.name, r.line))
	case save.IsLine(line):
		return r.save.Read(r.line, line)
	}
	return stranger(line)
}

// stranger says what is wrong with a line that is of none of the tools.
func stranger(line string) error {
	kinds := []struct{ begin, what, instead string }{
		{"table ", "what nft list ruleset writes for people", "write it by nft -j list ruleset"},
		{"Chain ", "what iptables -L writes", "write it by iptables-save"},
		{"-P ", "what iptables -S writes", "write it by iptables-save"},
		{"-N ", "what iptables -S writes", "write it by iptables-save"},
		{"-A ", "what iptables -S writes", "write it by iptables-save"},
		{"Name: ", "what ipset list writes", "write it by ipset save"},
		{"IP Virtual Server", "what ipvsadm -Ln writes", "write it by ipvsadm -Sn"},
		{"<", "XML or HTML", "write it by iptables-save"},
		{"apiVersion:", "Kubernetes objects", "name them by --from"},
	}
	for _, k := range kinds {
		if strings.HasPrefix(line, k.begin) {
			return fmt.Errorf("this is %s: %s", k.what, k.instead)
		}
	}
	const most = 60
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "..."
	}
	return fmt.Errorf("%q is no line of iptables-save, nft -j list ruleset, ipset save or ipvsadm -Sn", line)
}

// addTable takes a table of iptables over. Of a table that two dumps have, one must be
// empty: nobody can tell which of two backends a packet comes to first.
func (d *Dump) addTable(t save.Table) error {
	for i, have := range d.tables {
		switch {
		case have.Name != t.Name || have.Family != t.Family:
		case have.Empty():
			d.tables[i] = t
			return nil
		case t.Empty():
			return nil
		default:
			return fmt.Errorf("%s:%d: table %s of %s is in %s, line %d, too: give one dump of each table",
				t.File, t.Line, t.Name, t.Family, have.File, have.Line)
		}
	}
	d.tables = append(d.tables, t)
	return nil
}
