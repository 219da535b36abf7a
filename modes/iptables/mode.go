package iptables

import (
	"net/netip"

	"viplab/modes"
)

// Mode is the mode as a value.
func Mode() modes.Mode {
	return modes.Mode{
		Name: "iptables", Summary: "linear chains of rules, as kube-proxy writes them", DataPath: "O(N) rules",
		Params: Params(), Needs: []string{"iptables"}, Limits: Limits(), Traits: Traits,
		Caveats: []modes.Caveat{{Text: "The iptables modes edit single rules of the dispatch chain; the real kube-proxy " +
			"writes that chain anew at each sync."}},
		New: func(a modes.Args, m modes.Machine) modes.Proxier { return New(nil, RestorerFor(a, m.Family)) },
		Program: func(_ modes.Args, s modes.Snapshot, _ netip.Addr) modes.Program {
			return Program(nil, s)
		},
		Model: &modes.Model{Parts: Parts(), Dispatch: linear},
	}
}

// Names of the parameters that all modes have which consist of iptables rules.
const (
	SyncParam    = "sync"
	BackendParam = "backend"
)

// Params lists them.
func Params() []modes.Param {
	return []modes.Param{
		{Name: SyncParam, Help: "how updates of iptables rules are written: what changed in one restore, everything, or one call a rule",
			Values: []string{string(Partial), string(Rewrite), string(Append)}, Default: string(Partial)},
		{Name: BackendParam, Help: "kernel interface that iptables rules are written to", Values: Backends(), Default: Legacy},
	}
}

// Traits says what the arguments mean for the lab.
func Traits(a modes.Args) modes.Traits {
	sync, backend := a[SyncParam], a[BackendParam]
	return modes.Traits{
		SameState: sync != "" && sync != string(Partial),
		// One transaction of nf_tables needs socket buffers that only real root may have.
		RealRoot: backend == NFT,
	}
}

// RestorerFor is a Restorer as the arguments have it, for one address family.
func RestorerFor(a modes.Args, f modes.Family) Restorer {
	return Restorer{Backend: a[BackendParam], Strategy: Strategy(a[SyncParam]), Family: f}
}

// indexStep is after how many new chains iptables-legacy builds its index of
// chains anew (CHAIN_INDEX_INSERT_MAX in libiptc.c): what that costs grows with
// the square of their number.
const indexStep = 355

// toldFrom is the number of Services from which on the index takes enough to be told from noise.
const toldFrom = 20000

// Parts says what the costs of modes are made of that consist of iptables rules.
func Parts() map[string][]modes.Term {
	index := modes.Term{Name: "chain in the tool's index", From: toldFrom, Of: func(c modes.Counts) float64 {
		return c[modes.CountChains] * c[modes.CountChains] / indexStep
	}}
	parts := map[string][]modes.Term{
		modes.FullSync:     {modes.Once, modes.RuleWritten, index},
		modes.KernelMemory: {modes.Once, modes.TableByte},
		modes.ToolMemory:   {modes.Once, modes.RuleWritten},
	}
	for _, kind := range modes.ChangeKinds() {
		parts[kind] = []modes.Term{modes.Once, modes.RulePresent}
	}
	return parts
}

// linear: a packet is held against the rules of all Service ports before its own.
func linear(_ modes.Args, t modes.Topology, positions []int) map[int]modes.Operations {
	out := map[int]modes.Operations{}
	for p, n := range Before(t, positions) {
		out[p] = modes.Operations{Rules: n}
	}
	return out
}

// Before counts the Service ports before each of some positions.
func Before(t modes.Topology, positions []int) map[int]int {
	out := make(map[int]int, len(positions))
	for _, p := range positions {
		out[p] = -1
	}
	n := 0
	for at := range t.Fronts() {
		if before, wanted := out[at]; wanted && before < 0 {
			out[at] = n
		}
		n++
	}
	return out
}
