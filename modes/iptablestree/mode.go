package iptablestree

import (
	"net/netip"
	"strconv"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/packet/rules"
)

// FanoutParam is the name of the parameter that is the mode's own.
const FanoutParam = "fanout"

// Mode is the mode as a value.
func Mode() modes.Mode {
	fanout := modes.Param{Name: FanoutParam, Help: "fan-out of iptables-tree, a power of two", Values: fanouts(),
		Default: strconv.Itoa(DefaultFanout), Counted: true}
	return modes.Mode{
		Name: "iptables-tree", Summary: "the same rules behind a tree of chains by VIP prefix", DataPath: "O(log N) rules",
		Params: append(iptables.Params(), fanout), Needs: []string{"iptables"}, Limits: iptables.Limits(), Traits: iptables.Traits,
		Caveats: []modes.Caveat{{Text: "The tree of chains is edited rule by rule, as the dispatch chain of mode iptables is; " +
			"the real kube-proxy writes that chain anew at each sync."}},
		New: func(a modes.Args, m modes.Machine) modes.Proxier {
			return New(fanoutOf(a), iptables.RestorerFor(a, m.Family))
		},
		Program: func(a modes.Args, s modes.Snapshot, _ netip.Addr) modes.Program {
			return iptables.Program(Dispatch(fanoutOf(a)), s)
		},
		Model: &modes.Model{Parts: iptables.Parts(), State: state, Dispatch: dispatch},
	}
}

// fanouts lists the powers of two up to [MaxFanout], since each level of the tree
// consumes whole bits of the address.
func fanouts() (out []string) {
	for f := 2; f <= MaxFanout; f *= 2 {
		out = append(out, strconv.Itoa(f))
	}
	return out
}

// fanoutOf is the fan-out of arguments that were checked.
func fanoutOf(a modes.Args) int {
	if n, err := strconv.Atoi(a[FanoutParam]); err == nil {
		return n
	}
	return DefaultFanout
}

// leaves lists the address of each Service port.
func leaves(t modes.Topology) []netip.Addr {
	out := make([]netip.Addr, 0, t.Count())
	for _, f := range t.Fronts() {
		out = append(out, f.Addr.Addr())
	}
	return out
}

// hostBits are those below the prefix that stands for that of any chain of the tree, where
// the length of its text matters.
const hostBits = 20

// state: the tree is no sum over Services. The leaves are those of linear chains, which
// are one; the chains of the tree are counted exactly.
func state(a modes.Args, t modes.Topology, line func(func(modes.Snapshot) modes.Program) modes.Counts) modes.Counts {
	out := line(func(s modes.Snapshot) modes.Program { return iptables.Program(nil, s) })
	all := leaves(t)
	chains, inTree := NewShape(fanoutOf(a), all).Count()
	addChains, addRules := float64(chains), float64(inTree-len(all))
	prefix, _ := t.VIP(0).Prefix(t.VIP(0).BitLen() - hostBits)
	jump := rules.Rule{Dst: prefix, Chain: chainName(prefix)}
	text := float64(len("-A  \n") + len(jump.Chain) + len(rules.AppendRule(nil, &jump)))
	family := modes.FamilyOf(prefix.Addr())
	out[modes.CountChains] += addChains
	out[modes.CountRules] += addRules
	out[modes.CountBlob] += addRules*float64(jump.Blob(family)) + addChains*float64(rules.ChainBlob(family))
	out[modes.CountText] += addRules*text + addChains*float64(len(": - [0:0]\n"+jump.Chain))
	return out
}

// dispatch: a packet goes down the tree to the first leaf of its VIP, which is counted
// already where its Service is alone.
func dispatch(a modes.Args, t modes.Topology, positions []int) map[int]modes.Operations {
	shape := NewShape(fanoutOf(a), leaves(t))
	out := map[int]modes.Operations{}
	for _, p := range positions {
		looked, jumps := shape.Walk(t.VIP(p))
		out[p] = modes.Operations{Rules: looked - 1, Jumps: jumps}
	}
	return out
}
