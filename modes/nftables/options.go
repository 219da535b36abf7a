package nftables

import (
	"cmp"

	"viplab/modes"
)

// Layout is how a packet finds its endpoint.
type Layout string

// Layouts. Services with session affinity, and external addresses of those with
// external traffic policy Local, have chains as in KubeProxy in all of them.
const (
	// Count: a map from (address, protocol, port) to the number of endpoints, a
	// small one from there to a chain for each number, and one from (address,
	// protocol, port, slot) to the endpoint. No map of many verdicts is there,
	// which the kernel would walk at each commit.
	Count Layout = "count"
	// Shared: the same, but the big map holds the verdict.
	Shared Layout = "shared"
	// Direct: Services of one endpoint are elements of a map that holds it, the
	// others are as in KubeProxy.
	Direct Layout = "direct"
	// KubeProxy: a chain for each Service port, with the endpoints in an anonymous
	// map, as the real one has it since 1.36.
	KubeProxy Layout = "kube-proxy"
)

// Layouts lists them, the default first.
func Layouts() []Layout { return []Layout{Count, Shared, Direct, KubeProxy} }

// Ways to apply a change.
const (
	// Netlink sends messages to the kernel.
	Netlink = "netlink"
	// Tool starts `nft -f -` and writes text to it.
	Tool = "nft"
)

// Appliers lists them, the default first.
func Appliers() []string { return []string{Netlink, Tool} }

// Options are the mode's parameters.
type Options struct {
	// Layout is [Count] if empty.
	Layout Layout
	// Apply is [Netlink] if empty.
	Apply string
	// Family is IPv4 (the default) or IPv6: each has a table of its own.
	Family modes.Family
	// Counters makes each rule count its packets, which costs a little; a proof
	// needs them.
	Counters bool
	// Runner starts the tool, [modes.Exec] if nil.
	Runner modes.Runner
}

func (o Options) layout() Layout { return cmp.Or(o.Layout, Count) }

func (o Options) apply() string { return cmp.Or(o.Apply, Netlink) }

func (o Options) runner() modes.Runner {
	if o.Runner == nil {
		return modes.Exec{}
	}
	return o.Runner
}
