package nft

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// maxDepth is how deep chains may lead into each other (NFT_JUMP_STACK_SIZE).
const maxDepth = 16

// verdict is how a rule or chain ends.
type verdict struct {
	kind  verdictKind
	chain string
	end   rules.Verdict // of kind final
}

type verdictKind uint8

const (
	next    verdictKind = iota // the next statement, or rule
	skip                       // the rule does not hold, or no further
	back                       // to where the chain was entered
	jump                       // into a chain and back
	goTo                       // into a chain
	final                      // out of the base chain
	defined                    // the statement has decided that the rest holds
)

func finally(v rules.Verdict) verdict { return verdict{kind: final, end: v} }

// base walks a base chain.
func (w *walk) base(c *chain) rules.Verdict {
	if v := w.chain(c); v.kind == final {
		return v.end
	}
	if c.shut {
		w.Steps = append(w.Steps, modes.Step{Hook: w.hook, Table: c.table.family + " " + c.table.name, Chain: c.name, Text: "policy drop", Does: "is dropped"})
		return rules.Dropped
	}
	return rules.Pass
}

// chain walks a chain to its end.
func (w *walk) chain(c *chain) verdict {
	if w.depth++; w.depth > maxDepth {
		end, _ := w.Halt(fmt.Sprintf("chains of table %s %s lead more than %d deep into each other, which the kernel does not take", c.table.family, c.table.name, maxDepth))
		return finally(end)
	}
	defer func() { w.depth-- }()
	looked := 0
	for i, r := range c.rules {
		w.Rules++
		looked++
		at := len(w.Steps)
		v := w.rule(c, i, r, looked)
		if len(w.Steps) > at {
			looked = 0
		}
		switch v.kind {
		case back:
			return verdict{}
		case final:
			return v
		case jump, goTo:
			w.Jumps++
			to := w.table.chains[v.chain]
			if to == nil {
				end, _ := w.Halt("chain " + v.chain + ", which is not in the dump")
				return finally(end)
			}
			if end := w.chain(to); end.kind == final || v.kind == goTo {
				return end
			}
		}
	}
	if w.Tired() {
		return finally(rules.Stopped)
	}
	return verdict{}
}

// read reads the rule's statements, once they are needed.
func (r *rule) read() error {
	if r.statements != nil {
		return nil
	}
	if err := json.Unmarshal(r.raw, &r.statements); err != nil || len(r.statements) == 0 {
		return errors.New("a rule that cannot be read")
	}
	return nil
}

// rule does what a rule does, until a condition fails or there is a verdict.
func (w *walk) rule(c *chain, i int, r *rule, looked int) (v verdict) {
	step := modes.Step{Hook: w.hook, Table: c.table.family + " " + c.table.name, Chain: c.name, Rule: i + 1, Looked: looked}
	if err := r.read(); err != nil {
		step.Text, w.Place = string(r.raw[:min(len(r.raw), 80)]), r.place(w.table)
		return w.halt(step, err.Error())
	}
	at := -1
	var does []string
	for k, s := range r.statements {
		name, arg := statementOf(s)
		if name == "match" || conditional(name, arg) {
			switch w.condition(name, arg, s) {
			case rules.No:
				return w.finish(at, append(does, notFurther(at)), verdict{kind: skip})
			case rules.Unknown:
				if w.fails(r.statements[k+1:]) {
					return w.finish(at, append(does, notFurther(at)), verdict{kind: skip})
				}
				step.Text, w.Place = r.text(), r.place(w.table)
				holds, ok := w.Suppose(step)
				if !ok {
					return finally(rules.Stopped)
				}
				if !holds {
					return verdict{kind: skip}
				}
			}
			continue
		}
		if at < 0 {
			at = len(w.Steps)
			step.Text, w.Place = r.text(), r.place(w.table)
			w.Steps = append(w.Steps, step)
		}
		v, what := w.statement(name, arg, s)
		if what != "" {
			does = append(does, what)
		}
		if v.kind != next {
			return w.finish(at, does, v)
		}
	}
	if at < 0 {
		at = len(w.Steps)
		step.Text = r.text()
		w.Steps = append(w.Steps, step)
	}
	return w.finish(at, does, verdict{})
}

// notFurther says that a later condition of a rule fails, which has done something already.
func notFurther(at int) string {
	if at < 0 {
		return ""
	}
	return "no further"
}

// finish says what a rule did, in its step.
func (w *walk) finish(at int, does []string, v verdict) verdict {
	if at < 0 {
		return v
	}
	text := strings.Join(does, ", ")
	if text == "" {
		text = "is counted, and goes on"
	}
	w.Steps[at].Does = text
	return v
}

// place is where a rule stands.
func (r *rule) place(t *table) string { return fmt.Sprintf("%s, handle %d", t.file, r.handle) }

// halt stops at a rule.
func (w *walk) halt(step modes.Step, why string) verdict {
	end, _ := w.Halt(why)
	step.Does = "not known: " + w.Stop
	w.Steps = append(w.Steps, step)
	return finally(end)
}

// fails tells whether one of the conditions that come next does not hold. What is said of
// the one before them, which is not known, stays.
func (w *walk) fails(rest []map[string]any) bool {
	defer w.Unsure(w.Why())
	for _, s := range rest {
		name, arg := statementOf(s)
		if name != "match" {
			return false
		}
		if w.condition(name, arg, s) == rules.No {
			return true
		}
	}
	return false
}

// statementOf is the name of a statement and its arguments.
func statementOf(s map[string]any) (string, any) {
	for name, arg := range s {
		return name, arg
	}
	return "", nil
}

// conditional tells whether a statement beside match decides if the rule goes on, by what
// no dump tells: how many packets there were.
func conditional(name string, arg any) bool {
	switch name {
	case "limit", "quota", "ct count":
		return true
	case "xt":
		return field(arg, "type") == "match"
	case "set", "map":
		m, _ := arg.(map[string]any)
		list, _ := m["stmt"].([]any)
		for _, s := range list {
			inner, _ := s.(map[string]any)
			if name, arg := statementOf(inner); conditional(name, arg) {
				return true
			}
		}
	}
	return false
}

// condition holds the packet against a condition.
func (w *walk) condition(name string, arg any, s map[string]any) rules.Truth {
	m, ok := arg.(map[string]any)
	if name != "match" || !ok {
		return w.Unsure(text(s))
	}
	left, is := w.eval(m["left"])
	if is != rules.Yes {
		return is
	}
	op, _ := m["op"].(string)
	out := rules.Unknown
	switch op {
	case "==":
		out = w.in(left, m["right"])
	case "!=":
		out = w.in(left, m["right"]).Not()
	case "in", "":
		if n, ok := bitsOf(m["right"]); ok && left.kind == number {
			out = rules.True(left.n&n != 0)
		} else {
			out = w.in(left, m["right"])
		}
	case "<", ">", "<=", ">=":
		right, is := w.eval(m["right"])
		if is == rules.Yes {
			out = compare(left, right, op)
		}
	}
	if out == rules.Unknown {
		return w.Unsure(text(s))
	}
	return out
}

func compare(a, b value, op string) rules.Truth {
	if a.kind != number || b.kind != number {
		return rules.Unknown
	}
	return rules.True(map[string]bool{"<": a.n < b.n, ">": a.n > b.n, "<=": a.n <= b.n, ">=": a.n >= b.n}[op])
}

// in tells whether a value is what stands at the right of a condition, or in it.
func (w *walk) in(v value, right any) rules.Truth {
	switch e := right.(type) {
	case string:
		if name, ok := strings.CutPrefix(e, "@"); ok {
			return w.inSet(v, name)
		}
	case []any:
		n, ok := bitsOf(e)
		if !ok || v.kind != number {
			return rules.Unknown
		}
		return rules.True(v.n&n != 0)
	case map[string]any:
		if e["set"] != nil {
			w.Sets++
		}
		if e["set"] == nil && e["prefix"] == nil && e["range"] == nil && e["concat"] == nil {
			r, is := w.eval(e)
			if is != rules.Yes {
				return is
			}
			return rules.True(r.name() == v.name())
		}
	}
	return holds(v, right)
}

func (w *walk) inSet(v value, name string) rules.Truth {
	w.Sets++
	s := w.table.sets[name]
	if s == nil {
		return rules.Unknown
	}
	_, is := s.elements().find(v)
	return is
}
