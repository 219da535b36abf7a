package ebpf

import (
	"net/netip"
	"strconv"

	"viplab/modes"
)

// Name is the mode's.
const Name = "ebpf"

// Names of the mode's parameters.
const (
	AttachParam = "attach"
	SelectParam = "select"
	TableParam  = "maglev-table"
)

// Mode is the mode as a value.
func Mode() modes.Mode {
	return modes.Mode{
		Name: Name, Summary: "BPF programs at links and sockets, with hash maps laid out as Cilium's", DataPath: "hash lookups; at sockets no translation of packets",
		Params: params(), Needs: []string{"BPF", "cgroup v2"}, Limits: Limits(), Traits: traits, Caveats: caveats(),
		Refuses: func(a modes.Args, svc *modes.Service) error { return LimitsAt(Attach(a[AttachParam])).Check(Name, svc) },
		New:     func(a modes.Args, m modes.Machine) modes.Proxier { return New(OptionsFor(a, m.Family)) },
		Program: func(a modes.Args, s modes.Snapshot, node netip.Addr) modes.Program {
			return NewProgram(OptionsFor(a, modes.FamilyOf(node)), s)
		},
		Model: &modes.Model{Parts: parts(), Flow: "translation of a flow by BPF"},
	}
}

func params() []modes.Param {
	sizes := make([]string, 0, len(TableSizes()))
	for _, n := range TableSizes() {
		sizes = append(sizes, strconv.Itoa(n))
	}
	return []modes.Param{
		{Name: AttachParam, Help: "where mode ebpf's programs run: tc (packets on the node's links), socket (connections that begin in the node, those alone), both",
			Values: []string{string(Both), string(TC), string(Socket)}, Default: string(Both)},
		{Name: SelectParam, Help: "how mode ebpf gives a new flow its endpoint: random, maglev",
			Values: []string{string(Random), string(Maglev)}, Default: string(Random)},
		{Name: TableParam, Help: "places in mode ebpf's Maglev table of each Service port; about 100 an endpoint are even", Values: sizes, Default: sizes[0],
			With: modes.Args{SelectParam: string(Maglev)}},
	}
}

// OptionsFor is the arguments as Options, for one address family.
func OptionsFor(a modes.Args, f modes.Family) Options {
	size, _ := strconv.Atoi(a[TableParam]) // one of the valid ones, or none: 0
	return Options{Family: f, Attach: Attach(a[AttachParam]), Select: Select(a[SelectParam]), TableSize: size}
}

// traits says what the arguments mean for the lab. BPF is not for user namespaces.
func traits(a modes.Args) modes.Traits {
	return modes.Traits{RealRoot: true, OnlyNode: a[AttachParam] == string(Socket)}
}

// parts says what the mode's costs are made of. A change writes only what changed; maps
// are allocated at once, with room for more.
func parts() map[string][]modes.Term {
	written := modes.Term{Name: "BPF map entry written", Of: func(c modes.Counts) float64 { return c[CountEntries] }}
	room := modes.Term{Name: "BPF map entry allocated", Of: func(c modes.Counts) float64 { return float64(roomFor(int(c[CountEntries]))) }}
	out := map[string][]modes.Term{modes.FullSync: {modes.Once, written}, modes.KernelMemory: {modes.Once, room}}
	for _, kind := range modes.ChangeKinds() {
		out[kind] = []modes.Term{modes.Once}
	}
	return out
}
