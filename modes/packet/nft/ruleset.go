// Package nft reads what `nft -j list ruleset` wrote, and walks packets through it.
//
// Rules are read when a packet comes to them, so that a large ruleset costs little. What a
// rule has that the package does not know is named there: an unknown condition leaves open
// whether the rule holds, an unknown statement stops the trace. Unlike mode nftables, whose
// rules are values of the few kinds that it writes itself, this takes what anybody wrote.
package nft

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"viplab/modes"
	"viplab/modes/packet"
	"viplab/modes/packet/rules"
)

// Ruleset is what one dump says.
type Ruleset struct {
	// File is how the dump is called.
	File string
	// Notes say what of it is left out.
	Notes []string

	tables []*table
	rules  int
}

type key struct{ family, name string }

type table struct {
	key
	file   string
	chains map[string]*chain
	order  []*chain
	sets   map[string]*set
}

type chain struct {
	name     string
	table    *table
	hook     string // of a base chain, as iptables has it: PREROUTING
	nat      bool
	priority int
	shut     bool // its policy is drop
	rules    []*rule
}

type rule struct {
	handle int
	raw    json.RawMessage
	// statements are those of raw, once they were needed.
	statements []map[string]any
}

// object is one of the list: exactly one field is there.
type object struct {
	Metainfo  json.RawMessage `json:"metainfo"`
	Table     *entry          `json:"table"`
	Chain     *entry          `json:"chain"`
	Rule      *entry          `json:"rule"`
	Set       *entry          `json:"set"`
	Map       *entry          `json:"map"`
	Element   *entry          `json:"element"`
	Flowtable *entry          `json:"flowtable"`
}

// entry is what objects have, each some of it.
type entry struct {
	Family string          `json:"family"`
	Name   string          `json:"name"`
	Table  string          `json:"table"`
	Chain  string          `json:"chain"`
	Handle int             `json:"handle"`
	Type   json.RawMessage `json:"type"`
	Hook   string          `json:"hook"`
	Prio   json.RawMessage `json:"prio"`
	Policy json.RawMessage `json:"policy"`
	Expr   json.RawMessage `json:"expr"`
	Elem   json.RawMessage `json:"elem"`
	Map    json.RawMessage `json:"map"`
}

// Read reads a dump from where it begins; at is how many bytes it takes, or, with an
// error, where that is.
func Read(file string, r io.Reader) (rs *Ruleset, at int64, err error) {
	rs = &Ruleset{File: file}
	d := json.NewDecoder(r)
	for _, want := range []json.Token{json.Delim('{'), "nftables", json.Delim('[')} {
		t, err := d.Token()
		if err != nil {
			return nil, d.InputOffset(), broken(err)
		}
		if t != want {
			return nil, d.InputOffset(), errors.New("this is JSON, but not of nft -j list ruleset, which begins by {\"nftables\": [")
		}
	}
	for d.More() {
		var o object
		if err := d.Decode(&o); err != nil {
			return nil, d.InputOffset(), broken(err)
		}
		if err := rs.add(o); err != nil {
			return nil, d.InputOffset(), err
		}
	}
	for _, want := range []json.Token{json.Delim(']'), json.Delim('}')} {
		if t, err := d.Token(); err != nil || t != want {
			return nil, d.InputOffset(), broken(cmp.Or(err, error(io.ErrUnexpectedEOF)))
		}
	}
	return rs, d.InputOffset(), rs.check()
}

// broken says what is wrong with the JSON.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON of nft ends in the middle: the file was cut off")
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("the JSON is not as nft writes it: %s cannot be %s", cmp.Or(kind.Field, "an object"), kind.Value)
	}
	return fmt.Errorf("the JSON cannot be read: %w", err)
}

// add takes an object over.
func (rs *Ruleset) add(o object) error {
	switch {
	case o.Table != nil:
		if rs.table(o.Table.Family, o.Table.Name) != nil {
			return fmt.Errorf("table %s %s is there twice", o.Table.Family, o.Table.Name)
		}
		rs.tables = append(rs.tables, &table{key: key{o.Table.Family, o.Table.Name}, file: rs.File, chains: map[string]*chain{}, sets: map[string]*set{}})
		return nil
	case o.Chain != nil:
		return rs.addChain(o.Chain)
	case o.Rule != nil:
		return rs.addRule(o.Rule)
	case o.Set != nil:
		return rs.addSet(o.Set)
	case o.Map != nil:
		return rs.addSet(o.Map)
	case o.Element != nil:
		return rs.addElements(o.Element)
	}
	return nil // what rules only name
}

func (rs *Ruleset) table(family, name string) *table {
	for _, t := range rs.tables {
		if t.key == (key{family, name}) {
			return t
		}
	}
	return nil
}

// of is the table that an object is in.
func (rs *Ruleset) of(e *entry, what string) (*table, error) {
	t := rs.table(e.Family, e.Table)
	if t == nil {
		return nil, fmt.Errorf("%s is in table %s %s, which is not there before", what, e.Family, e.Table)
	}
	return t, nil
}

func (rs *Ruleset) addChain(e *entry) error {
	t, err := rs.of(e, "chain "+e.Name)
	if err != nil {
		return err
	}
	if t.chains[e.Name] != nil {
		return fmt.Errorf("chain %s of table %s %s is there twice", e.Name, t.family, t.name)
	}
	c := &chain{name: e.Name, table: t, hook: strings.ToUpper(e.Hook)}
	c.nat = string(e.Type) == `"nat"`
	c.shut = string(e.Policy) == `"drop"`
	if e.Hook != "" {
		if err := json.Unmarshal(e.Prio, &c.priority); err != nil {
			return fmt.Errorf("chain %s of table %s %s has priority %s, which is no number", e.Name, t.family, t.name, e.Prio)
		}
	}
	t.chains[e.Name] = c
	t.order = append(t.order, c)
	return nil
}

func (rs *Ruleset) addRule(e *entry) error {
	t, err := rs.of(e, fmt.Sprintf("rule %d of chain %s", e.Handle, e.Chain))
	if err != nil {
		return err
	}
	c := t.chains[e.Chain]
	if c == nil {
		return fmt.Errorf("rule %d is in chain %s, which table %s %s does not have", e.Handle, e.Chain, t.family, t.name)
	}
	c.rules = append(c.rules, &rule{handle: e.Handle, raw: e.Expr})
	rs.rules++
	return nil
}

// Drop leaves tables out that another dump shows better, and says which were.
func (rs *Ruleset) Drop(shown func(f modes.Family, name string) bool) {
	families := map[string]modes.Family{"ip": modes.IPv4, "ip6": modes.IPv6}
	rs.tables = slices.DeleteFunc(rs.tables, func(t *table) bool {
		f, ok := families[t.family]
		drop := ok && shown(f, t.name)
		if drop {
			for _, c := range t.order {
				rs.rules -= len(c.rules)
			}
			rs.Notes = append(rs.Notes, fmt.Sprintf("%s: table %s %s is taken from the dump of iptables-save", rs.File, t.family, t.name))
		}
		return drop
	})
}

// check looks for what the kernel would not have taken, and notes what is left out.
func (rs *Ruleset) check() error {
	for _, t := range rs.tables {
		switch t.family {
		case "ip", "ip6", "inet":
		default:
			rs.Notes = append(rs.Notes, fmt.Sprintf("%s: table %s %s is left out: packets are followed through ip, ip6 and inet alone", rs.File, t.family, t.name))
			continue
		}
		for _, c := range t.order {
			if c.hook == "INGRESS" {
				rs.Notes = append(rs.Notes, fmt.Sprintf("%s: chain %s of table %s %s is left out: it is of hook ingress", rs.File, c.name, t.family, t.name))
			}
		}
		if err := t.loops(); err != nil {
			return err
		}
	}
	return nil
}

// Counts is how much there is.
func (rs *Ruleset) Counts() modes.Counts {
	c := modes.Counts{modes.CountRules: float64(rs.rules)}
	for _, t := range rs.tables {
		c[modes.CountChains] += float64(len(t.chains))
		for _, s := range t.sets {
			c[modes.CountEntries] += float64(s.count())
		}
	}
	return c
}

// Stations are the base chains that packets of a family pass.
func (rs *Ruleset) Stations(f modes.Family) (out []packet.Station) {
	for _, t := range rs.tables {
		if t.family != "inet" && t.family != map[modes.Family]string{modes.IPv4: "ip", modes.IPv6: "ip6"}[f] {
			continue
		}
		for _, c := range t.order {
			if c.hook == "" || c.hook == "INGRESS" {
				continue
			}
			out = append(out, packet.Station{Hook: c.hook, Priority: c.priority, NAT: c.nat, Pass: func(t *rules.Tracer, p *rules.Packet) rules.Verdict {
				w := walk{Tracer: t, p: p, table: c.table, hook: c.hook, six: f == modes.IPv6}
				return w.base(c)
			}})
		}
	}
	return out
}

// Write writes all rules as nft spells them, nearly. Errors are the writer's to keep.
func (rs *Ruleset) Write(w io.Writer) {
	for _, t := range rs.tables {
		for _, c := range t.order {
			for _, r := range c.rules {
				if r.read() == nil {
					fmt.Fprintf(w, "rule %s %s %s %s # handle %d\n", t.family, t.name, c.name, r.text(), r.handle)
				}
			}
		}
	}
}
