package modetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// hooksOf are the built-in chains of the tables of iptables.
var hooksOf = []struct {
	table string
	hooks []string
}{
	{"raw", []string{"PREROUTING", "OUTPUT"}},
	{"mangle", []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}},
	{"nat", []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}},
	{"filter", []string{"INPUT", "FORWARD", "OUTPUT"}},
}

// randomTables writes rules that a node could have, for iptables-restore.
func randomTables(rng *rand.Rand) string {
	var b strings.Builder
	for _, t := range hooksOf {
		fmt.Fprintf(&b, "*%s\n", t.table)
		for _, h := range t.hooks {
			fmt.Fprintf(&b, ":%s ACCEPT [0:0]\n", h)
		}
		b.WriteString(":ONE - [0:0]\n:TWO - [0:0]\n")
		if t.table == "raw" {
			b.WriteString("-A OUTPUT -p icmp -j DROP\n") // errors would be counted too
		}
		for _, h := range t.hooks {
			for range 2 + rng.IntN(5) {
				m, target := randomMatches(rng, h), randomTarget(rng, t.table, h, "ONE", "TWO")
				if portsOnly := strings.Contains(target, ":443") || strings.Contains(target, "--to-ports"); portsOnly && !strings.Contains(m, " -p ") {
					m += " -p udp"
				}
				fmt.Fprintf(&b, "-A %s%s -j %s\n", h, m, target)
			}
		}
		for _, c := range []string{"ONE", "TWO"} {
			for range 1 + rng.IntN(3) {
				fmt.Fprintf(&b, "-A %s%s -j %s\n", c, randomMatches(rng, ""), randomTarget(rng, t.table, "", further[c]...))
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// further are the chains that a user's chain may lead to.
var further = map[string][]string{"ONE": {"TWO"}}

// randomMatches are conditions of a rule; in a user's chain (no hook) of packets at any.
func randomMatches(rng *rand.Rand, hook string) string {
	var out strings.Builder
	not := func() string { return pick(rng, []string{" ", " ", " ! "}) }
	for range rng.IntN(3) {
		p := pick(rng, somePorts)
		switch rng.IntN(15) {
		case 0:
			if !strings.Contains(out.String(), " -d ") {
				fmt.Fprintf(&out, "%s-d %s", not(), pick(rng, someNets))
			}
		case 1:
			if !strings.Contains(out.String(), " -s ") {
				fmt.Fprintf(&out, "%s-s %s", not(), pick(rng, []string{"10.255.255.2/32", "10.64.0.1/32", "10.0.0.0/8"}))
			}
		case 2:
			return out.String() + fmt.Sprintf(" -p udp -m udp%s--dport %d:%d", not(), p-1, p+rng.IntN(400))
		case 3:
			return out.String() + fmt.Sprintf(" -p udp -m multiport%s--dports 22,%d,1000:2000", not(), p)
		case 4:
			fmt.Fprintf(&out, " -m mark%s--mark %#x/%#x", not(), rng.IntN(4), 1+rng.IntN(3))
		case 5:
			fmt.Fprintf(&out, " -m conntrack%s--ctstate %s", not(), pick(rng, []string{"NEW", "ESTABLISHED,RELATED", "DNAT", "INVALID", "NEW,UNTRACKED"}))
		case 6:
			fmt.Fprintf(&out, " -m addrtype%s--dst-type LOCAL", not())
		case 7:
			fmt.Fprintf(&out, " -m addrtype%s--src-type LOCAL", not())
		case 8:
			fmt.Fprintf(&out, " -m iprange%s--dst-range 10.64.0.0-10.128.0.1", not())
		case 9:
			fmt.Fprintf(&out, " -m conntrack%s--ctorigdst %s", not(), pick(rng, someNets))
		case 10:
			fmt.Fprintf(&out, " -m connmark%s--mark %#x", not(), rng.IntN(3))
		case 11:
			return out.String() + " -p tcp"
		case 12:
			if hook == "PREROUTING" || hook == "INPUT" || hook == "FORWARD" {
				return out.String() + not() + "-i " + pick(rng, []string{"to-client", "to-+", "lo"})
			}
		case 13:
			if hook == "FORWARD" || hook == "OUTPUT" || hook == "POSTROUTING" {
				return out.String() + not() + "-o " + pick(rng, []string{"to-backend", "to-+", "lo"})
			}
		case 14:
			fmt.Fprintf(&out, " -m comment --comment \"a ! -j \\\"%d\"", p)
		}
	}
	return out.String()
}

// randomTarget is what a rule of a table does at a hook, or, in a user's chain, at any.
func randomTarget(rng *rand.Rand, table, hook string, chains ...string) string {
	targets := []string{"ACCEPT", "RETURN", "RETURN"}
	targets = append(targets, chains...)
	marks := []string{"MARK --set-xmark 0x1/0x1", "MARK --set-xmark 0x2/0x0", "MARK --set-xmark 0x0/0x3", "CONNMARK --save-mark",
		"CONNMARK --set-xmark 0x2/0xffffffff", "CONNMARK --restore-mark"}
	switch table {
	case "mangle":
		targets = append(targets, marks...)
	case "filter":
		targets = append(targets, "DROP", "REJECT --reject-with icmp-port-unreachable")
	case "raw":
		if hook != "" && rng.IntN(8) == 0 {
			return "CT --notrack"
		}
	case "nat":
		switch hook {
		case "PREROUTING", "OUTPUT":
			targets = append(targets, "DNAT --to-destination 10.128.0.2:443", "DNAT --to-destination 10.128.0.1", "REDIRECT --to-ports 80")
		case "POSTROUTING":
			targets = append(targets, "MASQUERADE --random-fully", "SNAT --to-source 10.64.0.1")
		}
	}
	return pick(rng, targets)
}

// randomRuleset writes rules that a node could have, for the nft tool.
func randomRuleset(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("add table ip t\ndelete table ip t\nadd table ip t\nadd chain ip t one\nadd chain ip t two\n")
	b.WriteString("add set ip t nets { type ipv4_addr; flags interval; elements = { 10.128.0.0/16, 10.96.0.10 } }\n")
	b.WriteString("add map ip t ports { type inet_proto . inet_service : verdict; elements = { udp . 53 : accept, udp . 80 : goto two, tcp . 443 : drop } }\n")
	b.WriteString("add map ip t to { type inet_service : ipv4_addr; elements = { 53 : 10.128.0.1, 80 : 10.128.0.2 } }\n")
	// Errors of the node itself would be counted too.
	b.WriteString("add table ip quiet\ndelete table ip quiet\nadd table ip quiet\n" +
		"add chain ip quiet o { type filter hook output priority -400 ; }\nadd rule ip quiet o meta l4proto icmp drop\n")
	for _, h := range []string{"prerouting", "input", "forward", "output", "postrouting"} {
		for _, kind := range []string{"filter", "nat"} {
			if kind == "nat" && h == "forward" {
				continue
			}
			name := kind + "-" + h
			fmt.Fprintf(&b, "add chain ip t %s { type %s hook %s priority %d ; }\n", name, kind, h, pick(rng, []int{-150, -50, 10, 120}))
			for range 1 + rng.IntN(5) {
				when, deed := randomConditions(rng), randomDeed(rng, kind, h)
				if all := when + " " + deed; strings.Contains(all, "tcp ") && strings.Contains(all, "udp ") {
					when = "" // the tool takes no such contradiction
				}
				fmt.Fprintf(&b, "add rule ip t %s%s counter %s\n", name, when, deed)
			}
		}
	}
	for range 3 {
		fmt.Fprintf(&b, "add rule ip t one%s counter %s\n", randomConditions(rng), pick(rng, []string{"return", "accept", "jump two", "continue"}))
		fmt.Fprintf(&b, "add rule ip t two%s counter %s\n", randomConditions(rng), pick(rng, []string{"return", "accept", "meta mark set 3", ""}))
	}
	return b.String()
}

func randomConditions(rng *rand.Rand) string {
	var out strings.Builder
	for range rng.IntN(3) {
		not := pick(rng, []string{"", "", "!= "})
		p := pick(rng, somePorts)
		switch rng.IntN(13) {
		case 0:
			fmt.Fprintf(&out, " ip daddr %s%s", not, pick(rng, someNets[:5]))
		case 1:
			fmt.Fprintf(&out, " ip daddr %s@nets", not)
		case 2:
			fmt.Fprintf(&out, " ip saddr %s{ 10.255.255.2, 10.64.0.0/24 }", not)
		case 3:
			if !strings.Contains(out.String(), "tcp ") {
				fmt.Fprintf(&out, " udp dport %s%d", not, p)
			}
		case 4:
			if !strings.Contains(out.String(), "udp ") {
				fmt.Fprintf(&out, " tcp dport %s%d", not, p)
			}
		case 5:
			fmt.Fprintf(&out, " th dport { 22, 50-%d }", p)
		case 6:
			fmt.Fprintf(&out, " ct state %s", pick(rng, []string{"new", "established,related", "new,untracked", "invalid"}))
		case 7:
			out.WriteString(" ct status dnat")
		case 8:
			fmt.Fprintf(&out, " meta mark & %#x %s %#x", 1+rng.IntN(3), pick(rng, []string{"==", "!="}), rng.IntN(4))
		case 9:
			fmt.Fprintf(&out, " fib %s type %slocal", pick(rng, []string{"daddr", "saddr"}), not)
		case 10:
			fmt.Fprintf(&out, " iifname %s%s", not, pick(rng, []string{`"to-client"`, `"to-*"`, `"lo"`}))
		case 11:
			fmt.Fprintf(&out, " ct original ip daddr %s%s", not, pick(rng, someAddrs))
		case 12:
			fmt.Fprintf(&out, " ct mark %s%d", not, rng.IntN(3))
		}
	}
	return out.String()
}

func randomDeed(rng *rand.Rand, kind, hook string) string {
	deeds := []string{"accept", "jump one", "goto two", "return", "", "meta mark set meta mark | 0x1", "meta mark set meta mark ^ 0x2", "ct mark set meta mark",
		"meta l4proto . th dport vmap @ports", "th dport vmap { 53 : jump one, 80-443 : accept }"}
	if kind == "filter" && (hook == "input" || hook == "forward") {
		deeds = append(deeds, "drop", "reject")
	}
	if kind == "nat" {
		switch hook {
		case "prerouting", "output":
			deeds = append(deeds, "dnat to 10.128.0.2", "meta l4proto udp dnat to 10.128.0.1:443", "dnat to udp dport map @to")
		case "postrouting":
			deeds = append(deeds, "masquerade", "snat to 10.64.0.1")
		}
	}
	return pick(rng, deeds)
}
