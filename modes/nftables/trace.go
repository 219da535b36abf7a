package nftables

import (
	"fmt"
	"net/netip"
	"slices"

	"viplab/modes"
)

// walk is the state of following the first packet of a flow through a Table.
type walk struct {
	*Program
	node   netip.Addr
	pick   int
	before netip.Addr

	proto      modes.Protocol
	src, dst   netip.AddrPort
	mark       uint32
	translated bool // its destination was rewritten
	masked     bool // its source will be the node
	looped     bool // it started at the node, and comes back to it

	hook  HookPoint
	steps []modes.Step
	modes.Operations
	rejected bool
}

// Follow plays the way of a flow's first packet on a node of the given address. What
// comes after it on the same flow is conntrack's affair and sees no nat chain.
func (p *Program) Follow(node netip.Addr, f modes.Flow) modes.Way {
	w := &walk{Program: p, node: node, pick: f.Pick, before: f.Before, proto: f.Proto, src: f.Src, dst: f.Dst}
	if f.From == modes.FromNode && !f.Src.IsValid() {
		w.src = netip.AddrPortFrom(w.source(f.Dst.Addr()), modes.FirstLocalPort)
	}
	way := modes.Way{Fate: w.travel(f.From)}
	way.Steps, way.Operations, way.Masqueraded = w.steps, w.Operations, w.masked
	if way.Seen = w.src.Addr(); w.masked {
		way.Seen = node
	}
	if way.Fate == modes.ToEndpoint {
		way.To = w.dst
	}
	return way
}

// travel takes the packet through the hooks, in the kernel's order.
func (w *walk) travel(from modes.From) modes.Fate {
	before := w.dst
	first := Prerouting
	if from == modes.FromNode {
		first = Output
	}
	// What a hook does to the destination decides about the next one.
	if fate, done := w.at(first); done {
		return fate
	}
	next := []HookPoint{Forward, Postrouting}
	local := w.local(w.dst.Addr())
	switch {
	case local && from == modes.FromNode:
		// It goes out by lo, and comes in again.
		next = []HookPoint{Postrouting, Prerouting, Input}
		w.looped = true
	case local:
		next = []HookPoint{Input}
	case from == modes.FromNode:
		next = []HookPoint{Postrouting}
	}
	for _, h := range next {
		if h == Prerouting && w.masked {
			w.src = netip.AddrPortFrom(w.node, w.src.Port())
		}
		if fate, done := w.at(h); done {
			return fate
		}
	}
	switch {
	case local:
		return modes.ToNode
	case w.dst == before:
		return modes.Unchanged
	}
	return modes.ToEndpoint
}

// at walks the base chains of a hook, those of lower priority first.
func (w *walk) at(h HookPoint) (modes.Fate, bool) {
	w.hook = h
	for _, c := range w.hooks[h] {
		if c.Hook.Type == "nat" && h == Prerouting && w.looped {
			continue // conntrack knows already
		}
		if v, done := w.chain(c); done && v.Kind == Drop {
			if w.rejected {
				return modes.Refused, true
			}
			return modes.Lost, true
		}
	}
	return "", false
}

// chain walks one chain; done is false when the packet came to its end, or to the end
// of one that it went on to.
func (w *walk) chain(c *Chain) (v Verdict, done bool) {
	looked := 0
	for i, r := range c.Rules {
		w.Rules++
		looked++
		if slices.ContainsFunc(r.If, func(m Match) bool { return !m.holds(w) }) {
			continue
		}
		at := len(w.steps)
		w.steps = append(w.steps, modes.Step{Hook: w.hook.String(), Table: network(w.Family) + " " + TableName, Chain: c.Name,
			Rule: i + 1, Looked: looked, Text: r.Text(w.Family)})
		looked = 0
		var does string
		v, does = w.run(r)
		w.steps[at].Does = does
		switch v.Kind {
		case Continue:
			continue
		case Accept, Drop:
			return v, true
		}
		w.Jumps++
		next, ok := w.chains[v.Chain]
		if !ok {
			// The kernel would not have taken such a rule.
			return Verdict{}, false
		}
		if end, done := w.chain(next); done {
			return end, true
		}
		if v.Kind == Goto {
			return Verdict{}, false
		}
	}
	return Verdict{}, false
}

// run does what a rule does, until a look-up fails or a verdict is there.
func (w *walk) run(r Rule) (v Verdict, does string) {
	for _, s := range r.Do {
		one, what := s.run(w)
		does += map[bool]string{true: ", "}[does != ""] + what
		if v = one; v.Kind != Continue {
			return v, does
		}
	}
	return v, does
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
	return a == w.node || a.IsLoopback() || slices.Contains(w.nodes, a)
}

// address is one of the packet's addresses.
func (w *walk) address(f Field) netip.Addr {
	if f == Src {
		return w.src.Addr()
	}
	return w.dst.Addr()
}

// key is the packet's part of a look-up.
func (w *walk) key(k Key) string {
	var b []byte
	for _, f := range k.Fields {
		switch f {
		case Dst, Src:
			b = appendAddr(b, w.address(f))
		case Proto:
			b = appendProto(b, w.proto)
		case Port:
			b = appendPort(b, w.dst.Port())
		case Mark:
			b = appendNumber(b, w.mark)
		case Random:
			b = appendNumber(b, uint32(w.pick)%k.Below)
		}
	}
	return string(b)
}

// find looks a key up in a set or map.
func (w *walk) find(in, key string) (Element, bool) {
	w.Sets++
	e, ok := w.elements[in][key]
	return e, ok
}

func (NewFlow) holds(*walk) bool      { return true }
func (Translated) holds(w *walk) bool { return w.translated }
func (m InPrefix) holds(w *walk) bool { return m.Prefix.Contains(w.address(m.Field)) != m.Not }
func (m IsLocal) holds(w *walk) bool  { return w.local(w.address(m.Field)) }
func (m Marked) holds(w *walk) bool   { return w.mark&uint32(m) != 0 }

func (m IsProtocol) holds(w *walk) bool { return modes.Protocol(m) == w.proto }

func (m InRanges) holds(w *walk) bool {
	w.Sets++
	in := slices.ContainsFunc(m.Ranges, func(p netip.Prefix) bool { return p.Contains(w.address(m.Field)) })
	return in != m.Not
}

func (m InSet) holds(w *walk) bool {
	if to, ok := w.remembered[m.Set]; ok {
		w.Sets++
		return to == w.before
	}
	_, ok := w.find(m.Set, w.key(m.Key))
	return ok
}

const notThere = "is not in it"

func (v Verdict) run(*walk) (Verdict, string) {
	if v.Kind == Drop {
		return v, "is dropped"
	}
	return v, "goes to chain " + v.Chain
}

func (Reject) run(w *walk) (Verdict, string) {
	w.rejected = true
	return Verdict{Kind: Drop}, "is refused by ICMP"
}

func (s SetMark) run(w *walk) (Verdict, string) {
	w.mark = w.mark&^s.Clear ^ s.Flip
	return Verdict{}, fmt.Sprintf("gets mark %#x", w.mark)
}

func (Masquerade) run(w *walk) (Verdict, string) {
	w.masked = true
	return Verdict{Kind: Accept}, "gets the node's address as its source"
}

func (s Dispatch) run(w *walk) (Verdict, string) {
	e, ok := w.find(s.Map, w.key(s.Key))
	if !ok {
		return Verdict{}, notThere
	}
	return e.verdict().run(w)
}

func (s DispatchBy) run(w *walk) (Verdict, string) {
	e, ok := w.find(s.Numbers, w.key(s.Key))
	if !ok {
		return Verdict{}, notThere
	}
	if e, ok = w.find(s.Map, e.Data); !ok {
		return Verdict{}, notThere
	}
	return e.verdict().run(w)
}

func (s MarkBy) run(w *walk) (Verdict, string) {
	e, ok := w.find(s.Map, w.key(s.Key))
	if !ok {
		return Verdict{}, notThere
	}
	w.mark = e.number()
	return Verdict{}, fmt.Sprintf("gets mark %#x", w.mark)
}

func (s Choose) run(w *walk) (Verdict, string) {
	w.Sets++
	return goTo(s.Chains[w.pick%len(s.Chains)]).run(w)
}

func (s Translate) run(w *walk) (Verdict, string) {
	if len(s.To) > 1 {
		w.Sets++
	}
	return w.translate(s.To[w.pick%len(s.To)])
}

func (s TranslateBy) run(w *walk) (Verdict, string) {
	e, ok := w.find(s.Map, w.key(s.Key))
	if !ok {
		return Verdict{}, notThere
	}
	return w.translate(e.target())
}

func (w *walk) translate(to netip.AddrPort) (Verdict, string) {
	w.dst, w.translated = to, to != w.dst
	return Verdict{Kind: Accept}, "gets destination " + to.String()
}

func (s Remember) run(*walk) (Verdict, string) { return Verdict{}, "is remembered in " + s.Set }
