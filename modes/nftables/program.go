package nftables

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"viplab/modes"
)

// Program is a Table, made ready to follow packets through it.
type Program struct {
	Table
	chains   map[string]*Chain
	hooks    map[HookPoint][]*Chain
	elements map[string]map[string]Element
	// remembered are the endpoints that sets of recent clients stand for.
	remembered map[string]netip.Addr
	// nodes are the node's addresses beside the one that Follow is given and those of
	// loopback.
	nodes []netip.Addr
}

// NewProgram is what the mode puts into a node, as values.
func NewProgram(o Options, s modes.Snapshot) *Program {
	if o.Family == "" {
		o.Family = modes.IPv4
	}
	planner := Planner{Options: o}
	p := program(planner.Plan(s))
	p.nodes = s.Node.Addrs
	return p
}

// program indexes a Table.
func program(t Table) *Program {
	p := &Program{Table: t, chains: map[string]*Chain{}, hooks: map[HookPoint][]*Chain{}, elements: map[string]map[string]Element{},
		remembered: map[string]netip.Addr{}}
	for _, c := range t.Chains {
		p.chains[c.Name] = c
		if c.Hook != nil {
			p.hooks[c.Hook.Point] = append(p.hooks[c.Hook.Point], c)
		}
		p.remember(c)
	}
	for _, list := range p.hooks {
		slices.SortStableFunc(list, func(a, b *Chain) int { return cmp.Compare(a.Hook.Priority, b.Hook.Priority) })
	}
	for _, e := range t.Elements {
		if p.elements[e.In] == nil {
			p.elements[e.In] = map[string]Element{}
		}
		p.elements[e.In][e.Key] = e
	}
	return p
}

// remember notes which endpoint an endpoint's chain remembers clients of.
func (p *Program) remember(c *Chain) {
	set := ""
	for _, r := range c.Rules {
		for _, s := range r.Do {
			switch s := s.(type) {
			case Remember:
				set = s.Set
			case Translate:
				if set != "" {
					p.remembered[set] = s.To[0].Addr()
				}
			}
		}
	}
}

// CountVerdicts counts elements of maps of verdicts, all of which the kernel looks at
// whenever it commits a change to such a map.
const CountVerdicts = "map verdicts"

// Counts implements [modes.Program].
func (p *Program) Counts() modes.Counts {
	chains, rules, _, elements := p.Count()
	c := modes.Counts{modes.CountChains: float64(chains), modes.CountRules: float64(rules), modes.CountEntries: float64(elements)}
	for _, s := range p.Sets {
		if s.Value == Verdicts {
			c[CountVerdicts] += float64(len(p.elements[s.Name]))
		}
	}
	return c
}

// Write implements [modes.Program]: the commands of the nft tool.
func (p *Program) Write(w io.Writer) error {
	if _, err := io.WriteString(w, p.Text()); err != nil {
		return fmt.Errorf("write the program of mode nftables: %w", err)
	}
	return nil
}
