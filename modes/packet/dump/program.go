package dump

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"

	"viplab/modes"
	"viplab/modes/packet"
	"viplab/modes/packet/rules"
)

// Node is what is known of the node that the dumps are of, beside them.
type Node struct {
	// Addrs are its own addresses, without loopback; of each family the first is that by
	// which it reaches endpoints.
	Addrs []netip.Addr
	// In and Out are the devices by which packets come in from outside and go out, "" if
	// that is not known.
	In, Out string
	// State is conntrack's of the packets, "" for NEW.
	State string
}

// States are those that packets can have.
func States() []string { return []string{rules.New, established, "RELATED", "INVALID", "UNTRACKED"} }

const established = "ESTABLISHED"

// Program is what one family's packets meet on the node. It implements [modes.Program].
type Program struct {
	packet.Program
	dump *Dump
}

// Program is the part of a family, on a node.
func (d *Dump) Program(f modes.Family, node Node) *Program {
	p := &Program{dump: d, Program: packet.Program{
		Nodes: node.Addrs, Given: packet.Given{In: node.In, Out: node.Out, State: node.State}, Bound: map[netip.Addr]bool{},
	}}
	for _, t := range d.tables {
		if t.Family == f {
			p.Rules.Tables = append(p.Rules.Tables, t.Table)
		}
	}
	p.Index = rules.NewIndex(p.Rules)
	for _, rs := range d.rulesets {
		p.Stations = append(p.Stations, rs.Stations(f)...)
	}
	p.serve(d.servers.list, f)
	return p
}

// serve takes the virtual servers of a family over. Their addresses are taken for the
// node's own: IPVS sees no packets but those that the node takes in.
func (p *Program) serve(list []*virtual, f modes.Family) {
	for _, v := range list {
		if v.mark != 0 {
			p.mark(v)
			continue
		}
		addr := v.front.Addr.Addr()
		if modes.FamilyOf(addr) != f {
			continue
		}
		if p.Servers == nil {
			p.Servers, p.Sticky = map[modes.Front][]netip.AddrPort{}, map[modes.Front]bool{}
			p.Beyond = map[modes.Front]map[netip.AddrPort]packet.Beyond{}
		}
		p.Bound[addr] = true
		p.Servers[v.front] = v.choices()
		p.Sticky[v.front] = v.sticky
		p.Beyond[v.front] = v.beyond()
	}
}

// mark is a virtual server that takes packets by their mark: where they go is not known.
func (p *Program) mark(v *virtual) {
	for hook, priority := range map[string]int{"INPUT": packet.SourceNAT - 2, "OUTPUT": packet.DestinationNAT + 1} {
		p.Stations = append(p.Stations, packet.Station{Hook: hook, Priority: priority, Pass: func(t *rules.Tracer, at *rules.Packet) rules.Verdict {
			if at.Mark != v.mark {
				return rules.Pass
			}
			t.Steps = append(t.Steps, modes.Step{Hook: hook, Table: "ip_vs", Chain: "virtual servers", Text: fmt.Sprintf("fwmark %d", v.mark)})
			t.Place = v.place
			stop, _ := t.Halt(fmt.Sprintf("a virtual server takes packets of mark %d, whatever they are sent to", v.mark))
			return stop
		}})
	}
}

// Counts implements [modes.Program].
func (p *Program) Counts() modes.Counts { return p.dump.Counts() }

// Write implements [modes.Program].
func (p *Program) Write(w io.Writer) error { return p.dump.Write(w) }

// Counts is how much the dumps have, of both families.
func (d *Dump) Counts() modes.Counts {
	c := modes.Counts{modes.CountEntries: float64(d.sets.Count()), modes.CountServers: float64(len(d.servers.list))}
	for _, t := range d.tables {
		chains, n := rules.Ruleset{Tables: []rules.Table{t.Table}}.Count()
		c[modes.CountChains] += float64(chains)
		c[modes.CountRules] += float64(n)
	}
	for _, v := range d.servers.list {
		c[modes.CountReals] += float64(len(v.real))
	}
	for _, rs := range d.rulesets {
		for kind, n := range rs.Counts() {
			c[kind] += n
		}
	}
	return c
}

// Write writes the rules of iptables as they were found, without the comments and counters
// around them, and nft's as nft spells them.
func (d *Dump) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, t := range d.tables {
		fmt.Fprintf(b, "*%s (%s, %s:%d)\n", t.Name, t.Family, t.File, t.Line)
		for _, c := range t.Chains {
			for i := range c.Rules {
				fmt.Fprintf(b, "-A %s %s\n", c.Name, c.Rules[i].Foreign.Text)
			}
		}
	}
	for _, rs := range d.rulesets {
		rs.Write(b)
	}
	return b.Flush()
}
