package iptables

import (
	"cmp"
	"net/netip"
	"slices"

	"viplab/modes"
	"viplab/modes/packet/rules"
)

// Dispatch lays out the rules that lead from KUBE-SERVICES to the chain of
// each Service port. It returns the rules of KUBE-SERVICES itself and the
// further chains that these jump to.
type Dispatch func(leaves []rules.Rule) (services []rules.Rule, chains []*rules.Chain)

// Linear is the real kube-proxy's layout: one rule a Service port, in order,
// all in KUBE-SERVICES.
func Linear(leaves []rules.Rule) ([]rules.Rule, []*rules.Chain) { return leaves, nil }

// largeCluster is the number of endpoints above which kube-proxy leaves the
// comments out of the chains of Services and endpoints. Here the first Plan decides:
// kube-proxy goes on writing them, or not, for single Services.
const largeCluster = 1000

// Planner turns Snapshots into Rulesets. It remembers the dispatch rules of the
// last Snapshot, so that planning one change is cheap; the chains of a Service
// are a function of the Service and are made when they are needed.
type Planner struct {
	// Dispatch is the layout, [Linear] if nil.
	Dispatch Dispatch
	// Family is IPv4 (the default) or IPv6.
	Family modes.Family

	planned  bool
	comments bool // decided at the first Plan
	loopback bool // node ports are to be had at 127.0.0.1
	last     modes.Snapshot
	changes  []modes.Change // of the last Delta
	leaves   []rules.Rule   // of last, in order
	// spare is where those of the next Snapshot go: the memory of those before last, which no
	// Ruleset has any more. Fresh memory of that size is what a change of one Service costs most.
	spare []rules.Rule
	ends  []int // leaves[ends[i-1]:ends[i]] are those of last.Services[i]
}

// Plan makes the Ruleset for a whole Snapshot. The chains of the Services are
// not held but made while they are read.
func (p *Planner) Plan(s modes.Snapshot) rules.Ruleset {
	return p.withServices(p.base(s), s)
}

// withServices adds the chains of all Services.
func (p *Planner) withServices(base rules.Ruleset, s modes.Snapshot) rules.Ruleset {
	rs, scope := base.Fixed(), p.scope(s)
	nat := &rs.Tables[len(rs.Tables)-1]
	nat.Names = func(yield func(string) bool) {
		for _, svc := range s.Services {
			for _, name := range chainNames(svc) {
				if !yield(name) {
					return
				}
			}
		}
	}
	nat.More = func(yield func(*rules.Chain) bool) {
		var m maker
		for _, svc := range s.Services {
			for _, c := range p.chains(&m, svc, scope) {
				if !yield(c) {
					return
				}
			}
			m.again()
		}
	}
	return rs
}

// Delta makes the part of two Rulesets in which they can differ: the fixed and
// dispatch chains, and the chains of the Services that changed, or of all where what
// they depend on did. from is the whole Ruleset of the Snapshot before, whole that of
// the new one.
func (p *Planner) Delta(from rules.Ruleset, s modes.Snapshot) (old, next, whole rules.Ruleset) {
	before, scope := p.scope(p.last), p.scope(s)
	p.changes = modes.Diff(p.last, s)
	base := p.base(s)
	old, next, whole = from.Fixed(), base.Fixed(), p.withServices(base, s)
	for _, c := range p.changes {
		if c.Old != nil {
			old.AppendChains("nat", p.chains(new(maker), c.Old, before)...)
		}
		if c.New != nil {
			next.AppendChains("nat", p.chains(new(maker), c.New, scope)...)
		}
	}
	if before != scope {
		p.rescope(&old, &next, s, before, scope)
	}
	return old, next, whole
}

// rescope adds the chains that another scope changes, of the Services that did not.
func (p *Planner) rescope(old, next *rules.Ruleset, s modes.Snapshot, before, after scope) {
	changed := make(map[*modes.Service]bool, len(p.changes))
	for _, c := range p.changes {
		changed[c.New] = true
	}
	for _, svc := range s.Services {
		if changed[svc] {
			continue
		}
		// The chains of one Service have the same order in any scope, but not all
		// scopes need the same rules in them.
		was, now := p.chains(new(maker), svc, before), p.chains(new(maker), svc, after)
		for i := range was {
			if !slices.Equal(was[i].Rules, now[i].Rules) {
				old.AppendChains("nat", was[i])
				next.AppendChains("nat", now[i])
			}
		}
	}
}

// scope is what the chains of every Service depend on.
type scope struct {
	cluster       netip.Prefix
	masqueradeAll bool
	node          netip.Addr // by which the node is known
}

func (p *Planner) scope(s modes.Snapshot) scope {
	out := scope{cluster: s.ClusterCIDR, masqueradeAll: s.Node.MasqueradeAll}
	if i := slices.IndexFunc(s.Node.Addrs, p.ours); i >= 0 {
		out.node = s.Node.Addrs[i]
	}
	return out
}

// family is the Planner's.
func (p *Planner) family() modes.Family { return cmp.Or(p.Family, modes.IPv4) }

// ours tells whether an address is of the Planner's family.
func (p *Planner) ours(a netip.Addr) bool { return modes.FamilyOf(a) == p.family() }

// base plans all but the chains of the Services.
func (p *Planner) base(s modes.Snapshot) rules.Ruleset {
	if !p.planned {
		n := 0
		for _, svc := range s.Services {
			n += len(svc.Endpoints) * len(svc.Ports)
		}
		p.planned, p.comments = true, n <= largeCluster
	}
	leaves := p.spare[:0]
	if n := s.Ports() + 1; cap(leaves) < n {
		leaves = make([]rules.Rule, 0, n+n/16)
	}
	ends := make([]int, 0, len(s.Services))
	var reject []rules.Rule
	var out outside
	j := 0
	for _, svc := range s.Services {
		for j < len(p.last.Services) && p.last.Services[j].Compare(svc) < 0 {
			j++
		}
		if j < len(p.last.Services) && p.last.Services[j] == svc {
			start := 0
			if j > 0 {
				start = p.ends[j-1]
			}
			leaves = append(leaves, p.leaves[start:p.ends[j]]...)
		} else {
			leaves = AppendLeaves(leaves, svc)
		}
		ends = append(ends, len(leaves))
		reject = appendRejects(reject, svc)
		out.add(svc)
	}
	p.last, p.leaves, p.ends, p.spare = s, leaves, ends, p.leaves
	p.loopback = len(out.nodePorts) > 0 && p.Family != modes.IPv6 && s.Node.LocalhostNodePorts()
	dispatch := p.Dispatch
	if dispatch == nil {
		dispatch = Linear
	}
	services, extra := dispatch(leaves)
	services = append(services[:len(services):cap(services)], p.toNodePorts(s.Node)...)
	return assemble(services, extra, reject, out, p.loopback)
}
