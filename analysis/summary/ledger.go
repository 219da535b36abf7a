package summary

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/combin"

	"viplab/results"
)

// ledger takes down what a report asked a Summary for.
type ledger struct {
	shown     map[*Cell]bool
	ambiguous []string
}

// Follow is the same Summary with a ledger of its own: from now on it takes down which
// cells were asked for, and where several came although one was expected.
func (s *Summary) Follow() *Summary {
	out := *s
	out.ledger = &ledger{shown: map[*Cell]bool{}}
	return &out
}

// Ambiguous has a line for each metric of which several cells came although one was
// expected, with what they differ in.
func (s *Summary) Ambiguous() []string {
	if s.ledger == nil {
		return nil
	}
	return s.ledger.ambiguous
}

// Unshown has an entry for each metric of which a cell was never asked for, with the
// factors that set those cells apart from what was asked for: "first_packet_seconds
// (protocol=udp)".
func (s *Summary) Unshown() []string {
	if s.ledger == nil {
		return nil
	}
	shown, left := map[string][]*Cell{}, map[string][]*Cell{}
	var order []string
	for _, c := range s.Cells {
		if s.ledger.shown[c] {
			shown[c.Metric] = append(shown[c.Metric], c)
			continue
		}
		if left[c.Metric] == nil {
			order = append(order, c.Metric)
		}
		left[c.Metric] = append(left[c.Metric], c)
	}
	var out []string
	for _, m := range order {
		out = append(out, m+apart(left[m], shown[m]))
	}
	return out
}

// show takes down that cells were asked for. A nil ledger takes nothing down.
func (l *ledger) show(cells []*Cell) {
	if l == nil {
		return
	}
	for _, c := range cells {
		l.shown[c] = true
	}
}

// note takes down that several cells came where one was expected.
func (l *ledger) note(cells []*Cell) {
	if l == nil {
		return
	}
	for _, c := range cells {
		delete(l.shown, c)
	}
	var differ []string
	for _, k := range keysOf(cells) {
		if values := valuesOf(cells, k); len(values) > 1 {
			differ = append(differ, k+" ("+strings.Join(values, ", ")+")")
		}
	}
	text := fmt.Sprintf("%s: several values where a table or plot has room for one, so it shows none; they differ in "+
		"%s", cells[0].Metric, strings.Join(differ, ", "))
	if !slices.Contains(l.ambiguous, text) {
		l.ambiguous = append(l.ambiguous, text)
	}
}

// mostKeys bounds how many factors together are tried to tell cells apart.
const mostKeys = 3

// apart says in which factors, or else in which of them together, cells differ from all
// others of their metric, in brackets; empty if there are no others.
func apart(cells, others []*Cell) string {
	if len(others) == 0 {
		return ""
	}
	var out []string
	keys := keysOf(cells)
	for _, k := range keys {
		var here []string
		if here, cells = tell(cells, others, []string{k}); len(here) > 0 {
			out = append(out, k+"="+strings.ReplaceAll(strings.Join(here, ","), k+"=", ""))
		}
	}
	for n := 2; n <= min(mostKeys, len(keys)); n++ {
		for _, some := range combin.Combinations(len(keys), n) {
			var together []string
			for _, i := range some {
				together = append(together, keys[i])
			}
			var here []string
			here, cells = tell(cells, others, together)
			out = append(out, here...)
		}
	}
	if len(cells) > 0 {
		out = append(out, fmt.Sprintf("%d more cells", len(cells)))
	}
	return " (" + strings.Join(out, "; ") + ")"
}

// tell lists the values of some keys together that cells have and others have not, and
// the cells that are left.
func tell(cells, others []*Cell, keys []string) (here []string, left []*Cell) {
	there := map[string]bool{}
	for _, c := range others {
		there[values(c, keys)] = true
	}
	for _, c := range cells {
		switch name := values(c, keys); {
		case there[name]:
			left = append(left, c)
		case !slices.Contains(here, name):
			here = append(here, name)
		}
	}
	return here, left
}

// values writes the values of some keys: "from=node position=first".
func values(c *Cell, keys []string) string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k + "=" + cmp.Or(c.Get(k), "none")
	}
	return strings.Join(out, " ")
}

// keysOf lists the factors of cells and the keys of their variants, in order.
func keysOf(cells []*Cell) []string {
	all := map[string]bool{}
	for _, c := range cells {
		for k := range c.Variant {
			all[k] = true
		}
		for k := range c.Factors {
			all[k] = true
		}
	}
	// The mode comes last: what the others do not explain, it does.
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(k string) bool { return k == results.Mode })
	return append(keys, results.Mode)
}

// valuesOf lists the values of a factor or key, "none" for a cell that has none.
func valuesOf(cells []*Cell, key string) []string {
	var out []string
	for _, c := range cells {
		v := cmp.Or(c.Get(key), "none")
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
