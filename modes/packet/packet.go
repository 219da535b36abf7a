// Package packet follows the first packet of a flow through what a mode
// programs, without a kernel: through which hooks, chains, rules, sets and
// virtual servers, what happens to it, and how many operations that takes.
//
// A mode gives its state as values, a [Program], which plays netfilter. A test
// holds what it says against the kernel's own counters.
package packet

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// Program is what a mode has put into a node's kernel and beside it.
type Program struct {
	Rules rules.Ruleset
	// Entries of sets, as ipset writes them: "10.96.0.1,tcp:80".
	Entries map[string]map[string]bool
	// Servers are virtual servers with their real servers.
	Servers map[modes.Front][]netip.AddrPort
	// Beyond are the real servers to which packets cannot be followed, by virtual server.
	Beyond map[modes.Front]map[netip.AddrPort]Beyond
	// Portals are the proxy's ports with the endpoints behind them.
	Portals map[modes.Front][]netip.AddrPort
	// Sticky are the fronts whose Service has affinity.
	Sticky map[modes.Front]bool
	// Bound are the VIPs that are the node's own.
	Bound map[netip.Addr]bool
	// Nodes are the node's addresses beside the one that [Follow] is given and those of
	// loopback.
	Nodes []netip.Addr
	// Index is that of Rules; nil: each Follow makes its own.
	Index rules.Index
	// Stations are what packets pass beside Rules and Servers.
	Stations []Station
	// Given is what is known of the packets beside their flow.
	Given Given
}

// Beyond is why packets cannot be followed to a real server.
type Beyond struct {
	Place string // where it stands, as file:line
	Why   string
}

// walk is the state of following one packet.
type walk struct {
	Program
	*rules.Tracer
	node netip.Addr
	p    rules.Packet
	// own is set for a packet that starts at the node, looped when it comes back to it.
	own, looped bool
	// masked is set when a packet came back by the node's address.
	masked bool
	// before is the endpoint that the client had lately.
	before netip.Addr
	// copied is set when the flow ends at the proxy, which began another.
	copied bool
}

// Follow implements [modes.Program]; the node's address is the one by which it reaches
// endpoints.
func (prog Program) Follow(node netip.Addr, f modes.Flow) modes.Way {
	index := prog.Index
	if index == nil {
		index = rules.NewIndex(prog.Rules)
	}
	w := &walk{Program: prog, Tracer: index.Tracer(), node: node}
	if f.From == modes.FromNode && !f.Src.IsValid() {
		f.Src = netip.AddrPortFrom(w.source(f.Dst.Addr()), modes.FirstLocalPort)
	}
	w.p = prog.Given.packet(f)
	w.Pick, w.Local, w.InSet, w.Assume = f.Pick, w.local, w.inSet, prog.Given.Assume
	w.before, w.Seen, w.Node = f.Before, w.seen, node
	if prog.Given.After != nil {
		defer prog.Given.After(w.Tracer)
	}
	var way modes.Way
	way.Fate = w.travel(f.From)
	way.Steps, way.Operations = w.Steps, w.Operations
	way.Masqueraded = w.copied || w.masked || !w.p.Src.IsValid()
	if way.Seen = w.p.Src.Addr(); !w.p.Src.IsValid() {
		way.Seen = w.masquerade()
	}
	if way.Fate == modes.ToEndpoint {
		way.To = w.p.Dst
	}
	way.Unknown = w.Stop
	return way
}

// source is the address that the kernel gives to the node's own packets: where they do
// not leave the node, that which they go to.
func (w *walk) source(dst netip.Addr) netip.Addr {
	switch {
	case dst.IsLoopback() && dst.Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case w.local(dst):
		return dst
	}
	return w.node
}

// local tells whether an address is one of the node's.
func (w *walk) local(a netip.Addr) bool {
	return a == w.node || w.Bound[a] || a.IsLoopback() || slices.Contains(w.Nodes, a)
}

// inSet looks a packet up in a set by the dimensions of its type.
func (w *walk) inSet(set, dirs string, p rules.Packet) bool {
	w.say("", "", set, "look up "+dirs, "")
	addr := p.Dst.Addr()
	if strings.HasPrefix(dirs, "src") {
		addr = p.Src.Addr()
	}
	entry := fmt.Sprintf("%s,%s:%d", addr, p.Proto, p.Dst.Port())
	switch {
	case dirs == "dst" && w.Entries[set][addr.String()]: // a set of addresses
		entry = addr.String()
	case dirs == "dst":
		entry = fmt.Sprint(p.Dst.Port())
	}
	found := w.Entries[set][entry]
	if dirs == "dst,dst,src" {
		entry, found = sourceEntry(w.Entries[set], entry, p.Src.Addr())
	}
	last := &w.Steps[len(w.Steps)-1]
	last.Does = "is not in it"
	if found {
		last.Does = "is in it: " + entry
	}
	return found
}

// sourceEntry looks up an entry with a source address or a range that holds it.
func sourceEntry(entries map[string]bool, entry string, src netip.Addr) (string, bool) {
	if one := entry + "," + src.String(); entries[one] {
		return one, true
	}
	for e := range entries {
		text, ok := strings.CutPrefix(e, entry+",")
		if r, err := netip.ParsePrefix(text); ok && err == nil && r.Contains(src) {
			return e, true
		}
	}
	return entry + "," + src.String(), false
}

// say adds a step that is no rule.
func (w *walk) say(hook, table, where, text, does string) {
	w.Steps = append(w.Steps, modes.Step{Hook: hook, Table: table, Chain: where, Text: text, Does: does})
}

// served looks the packet up among the virtual servers. One that is for it takes it
// on to a real server or, having none, answers with an ICMP error.
func (w *walk) served() (modes.Fate, bool) {
	if w.Servers == nil || w.p.Via.IsValid() {
		return "", false
	}
	w.Operations.Servers++
	at := w.p.Front()
	say := func(does string) { w.say("", "ip_vs", "virtual servers", "look up "+at.Addr.String(), does) }
	real, ours := w.Servers[at]
	switch {
	case !ours:
		say("is none")
		return "", false
	case len(real) == 0:
		say("has no real server")
		return modes.Refused, true
	}
	to := w.choose(at, real)
	if b, ok := w.Beyond[at][to]; ok {
		w.Place = b.Place
		w.Halt(b.Why)
		say("not known: " + w.Stop)
		return modes.Undecided, true
	}
	w.p.Via, w.p.Dst = w.p.Dst, to
	say("gets destination " + w.p.Dst.String())
	// What IPVS takes on leaves the node as if it were the node's own.
	if fate, done := w.at("OUTPUT"); done {
		return fate, true
	}
	if w.local(w.p.Dst.Addr()) {
		return w.arrive(), true
	}
	return w.leave(), true
}

// choose picks an endpoint: the one that the client had, under affinity, else the
// one that the flow names.
func (w *walk) choose(at modes.Front, from []netip.AddrPort) netip.AddrPort {
	for _, to := range from {
		if w.Sticky[at] && to.Addr() == w.before {
			return to
		}
	}
	return from[w.Draw(len(from))]
}

// seen tells whether the client is in a list of recent ones: that of the chain that
// leads to the endpoint it had.
func (w *walk) seen(list string) bool {
	to, ok := w.Destination("nat", list)
	return ok && to.Addr() == w.before
}

// arrive hands the packet to a socket of the node: the proxy's, which opens a
// connection of its own to an endpoint, or none.
func (w *walk) arrive() modes.Fate {
	endpoints, ours := w.Portals[w.p.Front()]
	if !ours {
		return modes.ToNode
	}
	if len(endpoints) == 0 {
		return modes.Closed
	}
	to := w.choose(w.p.Front(), endpoints)
	if w.Copies++; w.Copies > maxCopies {
		return modes.Lost
	}
	w.say("", "", "proxy", "accepts on "+w.p.Dst.String(), "opens a connection of its own to "+to.String())
	w.copied = true
	w.p = Given{}.packet(modes.Flow{Proto: w.p.Proto, Src: netip.AddrPortFrom(w.source(to.Addr()), modes.FirstLocalPort), Dst: to})
	w.looped = false
	if fate := w.travel(modes.FromNode); fate != modes.Unchanged {
		return fate
	}
	return modes.ToEndpoint
}

// maxCopies is after how many connections of its own to a VIP the proxy is taken to go in
// a circle.
const maxCopies = 16

// leave is the last hook of a packet that goes out. One with the loopback address of IPv6
// as its source does not: the kernel has no route_localnet for IPv6.
func (w *walk) leave() modes.Fate {
	if src := w.p.Src.Addr(); src.Is6() && src.IsLoopback() {
		return modes.Lost
	}
	if fate, done := w.at("POSTROUTING"); done {
		return fate
	}
	return modes.ToEndpoint
}

// Counts implements [modes.Program].
func (prog Program) Counts() modes.Counts {
	chains, n := prog.Rules.Count()
	c := modes.Counts{
		modes.CountChains: float64(chains), modes.CountRules: float64(n), modes.CountBlob: float64(prog.Rules.Blob()),
		modes.CountServers: float64(len(prog.Servers)), modes.CountVIPs: float64(len(prog.Bound)), modes.CountPortals: float64(len(prog.Portals)),
	}
	for _, e := range prog.Entries {
		c[modes.CountEntries] += float64(len(e))
	}
	for _, r := range prog.Servers {
		c[modes.CountReals] += float64(len(r))
	}
	var text counter
	_, _ = rules.Edit(bufio.NewWriter(&text), rules.Ruleset{}, prog.Rules) // a counter takes all
	c[modes.CountText] = float64(text)
	return c
}

// counter counts the bytes that are written to it.
type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// Write implements [modes.Program]: rules as iptables-restore reads them, set entries
// and virtual servers as the tools do.
func (prog Program) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	if _, err := rules.Edit(b, rules.Ruleset{}, prog.Rules); err != nil {
		return fmt.Errorf("write rules: %w", err)
	}
	for _, set := range slices.Sorted(maps.Keys(prog.Entries)) {
		for _, e := range slices.Sorted(maps.Keys(prog.Entries[set])) {
			fmt.Fprintf(b, "add %s %s\n", set, e)
		}
	}
	prog.writeFronts(b, "virtual server", prog.Servers)
	prog.writeFronts(b, "proxy port", prog.Portals)
	return b.Flush()
}

// writeFronts lists what clients dial and where that leads, in order.
func (prog Program) writeFronts(w io.Writer, what string, all map[modes.Front][]netip.AddrPort) {
	var lines []string
	for f, to := range all {
		line := fmt.Sprintf("%s %s %s ->", what, f.Proto, f.Addr)
		for _, ap := range to {
			line += " " + ap.String()
		}
		if prog.Sticky[f] {
			line += " (affinity)"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, l := range lines {
		fmt.Fprintln(w, l)
	}
}
