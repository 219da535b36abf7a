package dump_test

import (
	"fmt"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/packet/dump"
)

func percent(p float64) string { return fmt.Sprintf("%.1f", 100*p) }

// nftDump is a ruleset of one base chain at hook forward, a chain "more", and what else
// there is.
func nftDump(more string, expr ...string) string {
	var b strings.Builder
	b.WriteString(`{"nftables": [{"metainfo": {"version": "1.0.9"}}, {"table": {"family": "inet", "name": "t", "handle": 1}}, ` +
		`{"chain": {"family": "inet", "table": "t", "name": "f", "handle": 2, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}}, ` +
		`{"chain": {"family": "inet", "table": "t", "name": "n", "handle": 3, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}}, ` +
		`{"chain": {"family": "inet", "table": "t", "name": "i", "handle": 5, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}}, ` +
		`{"chain": {"family": "inet", "table": "t", "name": "more", "handle": 4}}`)
	if more != "" {
		b.WriteString(", " + more)
	}
	for i, e := range expr {
		chain, rule, _ := strings.Cut(e, ": ")
		fmt.Fprintf(&b, `, {"rule": {"family": "inet", "table": "t", "chain": %q, "handle": %d, "expr": [%s]}}`, chain, 10+i, rule)
	}
	return b.String() + "]}\n"
}

// Parts of expressions.
const (
	daddr   = `{"payload": {"protocol": "ip", "field": "daddr"}}`
	saddr   = `{"payload": {"protocol": "ip", "field": "saddr"}}`
	dport   = `{"payload": {"protocol": "tcp", "field": "dport"}}`
	l4      = `{"meta": {"key": "l4proto"}}`
	nfproto = `{"meta": {"key": "nfproto"}}`
	fib     = `{"fib": {"result": "type", "flags": ["daddr"]}}`
	drop    = `{"drop": null}`
	accept  = `{"accept": null}`
)

func match(left, op, right string) string {
	return fmt.Sprintf(`{"match": {"op": %q, "left": %s, "right": %s}}`, op, left, right)
}

func TestNFT(t *testing.T) {
	toPod := `n: ` + match(dport, "==", "80") + `, {"dnat": {"family": "ip", "addr": "10.1.0.1", "port": 8080}}`
	for _, o := range []struct {
		name, dump        string
		packet            string
		node              dump.Node
		fate              modes.Fate
		to, seen, unknown string
	}{
		{name: "prefix", dump: nftDump("", "f: "+match(daddr, "==", `{"prefix": {"addr": "10.96.0.0", "len": 16}}`)+", "+drop), fate: modes.Lost},
		{name: "set of all kinds", dump: nftDump("", "f: "+match(daddr, "==", `{"set": ["1.2.3.4", {"range": ["10.96.0.1", "10.96.0.20"]}]}`)+", "+drop), fate: modes.Lost},
		{name: "not in a set", dump: nftDump("", "f: "+match(saddr, "!=", `{"set": ["1.2.3.4", {"prefix": {"addr": "10.255.0.0", "len": 16}}]}`)+", "+drop), fate: modes.Unchanged},
		{name: "another family", dump: nftDump("", `f: `+match(`{"payload": {"protocol": "ip6", "field": "daddr"}}`, "!=", `"fd00::1"`)+", "+drop), fate: modes.Unchanged},
		{name: "another protocol", dump: nftDump("", `f: `+match(`{"payload": {"protocol": "udp", "field": "dport"}}`, "!=", "53")+", "+drop), fate: modes.Unchanged},
		{name: "states", dump: nftDump("", `f: `+match(`{"ct": {"key": "state"}}`, "in", `["established", "new"]`)+`, {"reject": {"type": "tcp reset"}}`), fate: modes.Refused},
		{name: "states in a map", dump: nftDump("", `f: {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", {"accept": null}], ["new", {"drop": null}]]}}}`), fate: modes.Lost},
		{name: "status", dump: nftDump("", toPod, `f: `+match(`{"ct": {"key": "status"}}`, "in", `"dnat"`)+", "+drop), fate: modes.Lost},
		{name: "original destination", dump: nftDump("", toPod, `f: `+match(`{"ct": {"key": "ip daddr", "dir": "original"}}`, "==", `"10.96.0.10"`)+", "+drop), fate: modes.Lost},
		{name: "flags", dump: nftDump("", `f: `+match(`{"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn", "rst", "ack"]]}`, "==", `"syn"`)+", "+drop), fate: modes.Lost},
		{name: "mark", dump: nftDump("", `f: {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"&": [{"meta": {"key": "mark"}}, 255]}, 256]}}}`,
			`f: `+match(`{"meta": {"key": "mark"}}`, "==", "256")+", "+drop), fate: modes.Lost},
		{name: "concatenation with an interval", dump: nftDump(`{"map": {"family": "inet", "table": "t", "name": "m", "handle": 9, "map": "verdict", "flags": ["interval"],
			"elem": [[{"concat": [{"prefix": {"addr": "10.96.0.0", "len": 12}}, "tcp", {"range": [1, 1023]}]}, {"goto": {"target": "more"}}]]}}`,
			`f: {"vmap": {"key": {"concat": [`+daddr+`, `+l4+`, {"payload": {"protocol": "th", "field": "dport"}}]}, "data": "@m"}}`, "more: "+drop), fate: modes.Lost},
		{name: "the node's own address", dump: nftDump("", `f: `+match(`{"fib": {"result": "type", "flags": ["daddr"]}}`, "!=", `"local"`)+", "+drop), fate: modes.Lost},
		{name: "destination from a map", dump: nftDump("", `n: {"dnat": {"family": "ip", "addr": {"map": {"key": {"jhash": {"mod": 2, "expr": `+saddr+`}}, "data": {"set": [[0, {"concat": ["10.1.0.1", 8080]}], [1, {"concat": ["10.1.0.2", 8080]}]]}}}}}`),
			fate: modes.ToEndpoint, to: "10.1.0.1:8080"},
		{name: "affinity", dump: nftDump(`{"set": {"family": "inet", "table": "t", "name": "affinity-x", "type": "ipv4_addr", "handle": 9, "flags": ["timeout", "dynamic"], "timeout": 10,
			"elem": [{"elem": {"val": "10.255.255.2", "timeout": 10, "expires": 7}}]}}`, `n: `+match(saddr, "==", `"@affinity-x"`)+`, {"goto": {"target": "more"}}`,
			`more: {"set": {"op": "update", "elem": `+saddr+`, "set": "@affinity-x"}}, {"dnat": {"family": "ip", "addr": "10.1.0.7", "port": 1}}`), fate: modes.ToEndpoint, to: "10.1.0.7:1"},
		{name: "device not known", dump: nftDump("", `f: `+match(`{"meta": {"key": "iifname"}}`, "==", `"eth*"`)+", "+drop), fate: modes.Undecided, unknown: ", handle 10: meta iifname: by which device"},
		{name: "device known", dump: nftDump("", `f: `+match(`{"meta": {"key": "iifname"}}`, "==", `"eth*"`)+", "+drop), node: dump.Node{In: "eth7"}, fate: modes.Lost},
		{name: "limit that decides nothing", dump: nftDump("", toPod, `f: {"limit": {"rate": 5, "per": "second"}}, `+accept), fate: modes.ToEndpoint, to: "10.1.0.1:8080", unknown: "limit"},
		{name: "unknown condition and one that fails", dump: nftDump("", `f: `+match(`{"meta": {"key": "cgroup"}}`, "==", "1")+", "+match(dport, "==", "81")+", "+drop), fate: modes.Unchanged},
		{name: "a protocol's number in a concatenation", dump: nftDump("", `f: {"vmap": {"key": {"concat": [`+daddr+`, `+l4+`, `+dport+`]}, "data": {"set": [[{"concat": ["10.96.0.10", 6, 80]}, {"drop": null}]]}}}`), fate: modes.Lost},
		{name: "another protocol's number", dump: nftDump("", `f: {"vmap": {"key": {"concat": [`+l4+`, `+dport+`]}, "data": {"set": [[{"concat": [17, 80]}, {"drop": null}]]}}}`), fate: modes.Unchanged},
		{name: "protocols' numbers in a set", dump: nftDump("", `f: `+match(l4, "==", `{"set": [6, 17]}`)+", "+drop), fate: modes.Lost},
		{name: "many numbers", dump: nftDump("", `f: {"vmap": {"key": {"concat": [`+strings.Repeat(l4+", ", 39)+l4+`]}, "data": {"set": [[{"concat": [`+strings.Repeat(`6, "tcp", `, 19)+`6, 6]}, {"drop": null}]]}}}`), fate: modes.Lost},
		{name: "families' numbers", dump: nftDump("", `f: `+match(`{"concat": [`+nfproto+`, {"meta": {"key": "protocol"}}]}`, "==", `{"set": [{"concat": [10, 56710]}, {"concat": [2, 8]}]}`)+", "+match(nfproto, "!=", "10")+", "+match(nfproto, "==", "2")+", "+drop), fate: modes.Lost},
		{name: "the number of local", dump: nftDump("", `f: `+match(fib, "!=", "2")+", "+match(fib, "==", `{"set": [2, 5]}`)+", "+accept, `f: `+match(fib, "!=", "2")+", "+drop), fate: modes.Lost},
		{name: "the number of local, of the node's own", dump: nftDump("", `i: `+match(fib, "==", "2")+", "+match(`{"concat": [`+fib+`, `+l4+`]}`, "==", `{"set": [{"concat": [2, 6]}]}`)+", "+drop), packet: "client tcp 10.64.0.1:80", fate: modes.Lost},
		{name: "the number of unicast", dump: nftDump("", `f: {"vmap": {"key": {"concat": [`+fib+`, `+l4+`]}, "data": {"set": [[{"concat": [1, 6]}, {"drop": null}]]}}}`), fate: modes.Undecided, unknown: "handle 10: fib daddr type . meta l4proto vmap"},
		{name: "a device's index", dump: nftDump("", `f: `+match(`{"meta": {"key": "iif"}}`, "==", "7")+", "+drop), node: dump.Node{In: "eth0"}, fate: modes.Undecided, unknown: "handle 10: meta iif 7"},
		{name: "two unknown conditions", dump: nftDump("", `f: `+match(`{"meta": {"key": "iifname"}}`, "==", `"eth0"`)+", "+match(`{"meta": {"key": "cgroup"}}`, "==", "1")+", "+drop),
			fate: modes.Undecided, unknown: ", handle 10: meta iifname: by which device"},
		{name: "two unknown parts", dump: nftDump("", `f: `+match(`{"concat": [{"meta": {"key": "iifname"}}, {"meta": {"key": "cgroup"}}]}`, "==", `{"concat": ["eth0", 1]}`)+", "+drop),
			fate: modes.Undecided, unknown: ", handle 10: meta iifname: by which device"},
		{name: "flowtable", dump: nftDump(`{"flowtable": {"family": "inet", "name": "ft", "table": "t", "handle": 8, "hook": "ingress", "prio": 0, "dev": "eth0"}}`,
			toPod, `f: {"flow": {"op": "add", "flowtable": "@ft"}}`), fate: modes.ToEndpoint, to: "10.1.0.1:8080"},
		{name: "unknown statement", dump: nftDump("", `f: {"queue": {"num": 0}}`), fate: modes.Undecided, unknown: "handle 10: queue num 0"},
		{name: "rule of iptables-nft", dump: nftDump("", `f: {"xt": {"type": "target", "name": "DNAT"}}`), fate: modes.Undecided, unknown: "add what iptables-save writes"},
	} {
		t.Run(o.name, func(t *testing.T) { check(t, o.dump, o.packet, o.node, o.fate, o.to, o.seen, o.unknown) })
	}
}

// TestBothBackends: the tables of iptables-nft are taken from iptables-save, which knows
// what its matches are; those of others from nft.
func TestBothBackends(t *testing.T) {
	saved := strings.Replace(table("filter", ":FORWARD ACCEPT [0:0]", "-A FORWARD -p tcp -j DROP"), "v1.8.9", "v1.8.9 (nf_tables)", 1)
	listed := `{"nftables": [{"table": {"family": "ip", "name": "filter", "handle": 1}},
{"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "handle": 2, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
{"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 3, "expr": [{"xt": {"type": "target", "name": "X"}}]}}]}
`
	check(t, saved+listed, "", dump.Node{}, modes.Lost, "", "", "")
	check(t, listed, "", dump.Node{}, modes.Undecided, "", "", "xt target X")
	if notes := of(t, saved+listed).Notes; len(notes) != 1 || !strings.Contains(notes[0], "table ip filter is taken from the dump of iptables-save") {
		t.Errorf("notes %v", notes)
	}
}
