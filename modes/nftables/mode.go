package nftables

import (
	"context"
	"net/netip"
	"time"

	"viplab/modes"
)

// Names of the mode's parameters.
const (
	LayoutParam = "layout"
	ApplyParam  = "apply"
)

// Mode is the mode as a value.
func Mode() modes.Mode {
	return modes.Mode{
		Name: "nftables", Summary: "maps of nf_tables, in a table of its own", DataPath: "a few look-ups in maps",
		Params: params(), Needs: []string{"nf_tables"}, Limits: Limits(),
		Traits: traits,
		New:    func(a modes.Args, m modes.Machine) modes.Proxier { return New(OptionsFor(a, m.Family)) },
		Program: func(a modes.Args, s modes.Snapshot, node netip.Addr) modes.Program {
			return NewProgram(OptionsFor(a, modes.FamilyOf(node)), s)
		},
		Model: &modes.Model{Parts: parts(), Flow: "translation of a flow by nf_tables"},
	}
}

// traits says what the arguments mean for the lab. One transaction of the tool needs socket
// buffers that only real root may have.
func traits(a modes.Args) modes.Traits {
	t := modes.Traits{RealRoot: a[ApplyParam] == Tool}
	if l := Layout(a[LayoutParam]); l == Direct || l == KubeProxy {
		t.ServiceTakes = time.Millisecond // less of few and more of many: a chain each
	}
	return t
}

func params() []modes.Param {
	layouts := modes.Param{Name: LayoutParam, Default: string(Count), Apart: true,
		Help: "how mode nftables finds endpoints: by their number (count), by a map of verdicts (shared), a map for single ones (direct), as kube-proxy does"}
	for _, l := range Layouts() {
		layouts.Values = append(layouts.Values, string(l))
	}
	return []modes.Param{layouts, {Name: ApplyParam, Help: "how mode nftables tells the kernel: by netlink messages, or by the nft tool",
		Values: Appliers(), Default: Netlink}}
}

// OptionsFor is the arguments as Options, for one address family.
func OptionsFor(a modes.Args, f modes.Family) Options {
	return Options{Layout: Layout(a[LayoutParam]), Apply: a[ApplyParam], Family: f}
}

// parts says what the mode's costs are made of.
func parts() map[string][]modes.Term {
	element := modes.Term{Name: "element", Of: func(c modes.Counts) float64 { return c[modes.CountEntries] }}
	verdict := modes.Term{Name: "verdict in a map", Of: func(c modes.Counts) float64 { return c[CountVerdicts] }}
	// A rule with an anonymous map is held against all of the transaction when it is
	// bound, and a set is looked up among all others by name.
	bound := modes.Term{Name: "rule looked through when one is written", Of: func(c modes.Counts) float64 {
		return c[modes.CountRules] * c[modes.CountRules] / 2
	}}
	out := map[string][]modes.Term{
		modes.FullSync:     {modes.Once, element, modes.RuleWritten, bound},
		modes.KernelMemory: {modes.Once, element, modes.RuleWritten},
		modes.ToolMemory:   {modes.Once, element, modes.RuleWritten},
	}
	for _, kind := range modes.ChangeKinds() {
		out[kind] = []modes.Term{modes.Once, verdict, modes.RulePresent}
	}
	return out
}

// The abilities that the mode has beside those of a [modes.Proxier].
var (
	_ modes.Refresher = (*Proxier)(nil)
	_ modes.Appender  = (*Proxier)(nil)
	_ modes.Program   = (*Program)(nil)
)

// Append implements [modes.Appender]: one element in the map that finds Services.
func (p *Proxier) Append(ctx context.Context) (undo func() error, err error) {
	to := netip.MustParseAddrPort("10.255.255.254:9")
	if p.Family == modes.IPv6 {
		to = netip.MustParseAddrPort("[fd00:ffff::fffe]:9")
	}
	e := Element{In: serviceIPs, Key: string(appendPort(appendProto(appendAddr(nil, to.Addr()), modes.TCP), to.Port())),
		Data: string(appendVerdict(nil, Verdict{Kind: Drop}))}
	switch p.layout() {
	case Count:
		e.In, e.Data = serviceCounts, string(appendNumber(nil, 1))
	case Direct:
		e.In, e.Data = singleEndpoints, string(appendTarget(nil, to))
	}
	if _, err := p.commit(ctx, &Change{AddElements: []Element{e}}); err != nil {
		return nil, err
	}
	return func() error {
		_, err := p.commit(context.Background(), &Change{DelElements: []Element{e}})
		return err
	}, nil
}
