package nft

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// text is the rule as nft spells it, nearly.
func (r *rule) text() string {
	var out []string
	for _, s := range r.statements {
		if t := text(s); t != "" {
			out = append(out, t)
		}
	}
	return strings.Join(out, " ")
}

// maxListed is how many elements of a set are spelt out.
const maxListed = 8

// text is a statement or expression as nft spells it, nearly.
func text(e any) string {
	switch e := e.(type) {
	case nil:
		return ""
	case string:
		return e
	case float64:
		return fmt.Sprintf("%v", int64(e))
	case []any:
		return listed(e, ",")
	case map[string]any:
		if len(e) == 1 {
			name, arg := statementOf(e)
			return spell(name, arg)
		}
		var out []string
		for _, k := range slices.Sorted(maps.Keys(e)) {
			out = append(out, strings.TrimSpace(k+" "+text(e[k])))
		}
		return strings.Join(out, " ")
	}
	return fmt.Sprint(e)
}

func listed(list []any, sep string) string {
	var out []string
	for i, e := range list {
		if i == maxListed {
			out = append(out, fmt.Sprintf("... (%d)", len(list)))
			break
		}
		out = append(out, text(e))
	}
	return strings.Join(out, sep)
}

// spell is a statement or expression with its arguments.
func spell(name string, arg any) string {
	m, _ := arg.(map[string]any)
	switch name {
	case "match":
		op := text(m["op"]) + " "
		if left, _ := m["left"].(map[string]any); (op == "== " || op == "in ") && left["&"] == nil {
			op = ""
		}
		return text(m["left"]) + " " + op + text(m["right"])
	case "payload":
		if m["base"] != nil {
			return fmt.Sprintf("@%s,%s,%s", text(m["base"]), text(m["offset"]), text(m["len"]))
		}
		return text(m["protocol"]) + " " + text(m["field"])
	case "meta":
		return "meta " + text(m["key"])
	case "ct":
		return strings.TrimSpace("ct " + strings.TrimSpace(text(m["dir"])+" "+text(m["key"])))
	case "fib":
		return "fib " + text(m["flags"]) + " " + text(m["result"])
	case "numgen":
		return fmt.Sprintf("numgen %s mod %s", text(m["mode"]), text(m["mod"]))
	case "jhash":
		return fmt.Sprintf("jhash %s mod %s", text(m["expr"]), text(m["mod"]))
	case "prefix":
		return text(m["addr"]) + "/" + text(m["len"])
	case "jump", "goto":
		return name + " " + text(m["target"])
	case "vmap", "map":
		if m["key"] != nil {
			return text(m["key"]) + " " + name + " " + text(m["data"])
		}
	case "mangle":
		return text(m["key"]) + " set " + text(m["value"])
	case "counter":
		return "counter"
	case "dnat", "snat":
		return strings.TrimSuffix(name+" to "+text(m["addr"])+" : "+text(m["port"]), " : ")
	case "reject", "log", "accept", "drop", "return", "continue", "notrack":
		return name
	case "xt":
		return strings.TrimSpace("xt " + text(m["type"]) + " " + text(m["name"]))
	}
	if list, ok := arg.([]any); ok {
		return spellList(name, list)
	}
	return strings.TrimSpace(name + " " + text(arg))
}

// spellList is an expression of several parts.
func spellList(name string, list []any) string {
	switch name {
	case "concat":
		return listed(list, " . ")
	case "set":
		var out []any
		for _, e := range list {
			if pair, ok := e.([]any); ok && len(pair) == 2 {
				out = append(out, text(pair[0])+" : "+text(pair[1]))
			} else {
				out = append(out, e)
			}
		}
		return "{ " + listed(out, ", ") + " }"
	case "range":
		return listed(list, "-")
	case "&", "|", "^", "<<", ">>":
		return listed(list, " "+name+" ")
	}
	return name + " " + listed(list, " ")
}
