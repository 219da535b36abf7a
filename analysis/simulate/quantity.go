package simulate

import (
	"slices"

	"viplab/modes/synth"
	"viplab/results"
)

// Operations whose counts predictions are made of. Each has a cost in a
// Calibration, in the unit of the quantity that it is part of.
const (
	once         = "once"
	ruleWritten  = "rule written"
	rulePresent  = "rule in the table"
	chainIndexed = "chain in the tool's index"
	object       = "netlink object"
	vipBound     = "VIP bound"
	vipScanned   = "VIP looked through when one is bound"
	portal       = "proxy port"
	blobByte     = "byte of the table"
	ruleLooked   = "rule looked at"
	ruleBehind   = "rule looked at for the proxy's own connection"
	chainJumped  = "chain jumped into"
	natted       = "translation of a flow"
	server       = "virtual server looked up"
	inBucket     = "virtual server in the bucket"
	copied       = "connection copied"
)

// counted is what operations are counted of: a State, and the mean Way of the
// packets in question.
type counted struct {
	State
	direct                bool
	behind                float64 // of rules
	rules, jumps, servers float64
	bucket, copies        float64
}

// indexStep is after how many new chains iptables-legacy builds its index of
// chains anew (CHAIN_INDEX_INSERT_MAX in libiptc.c): what that costs grows with
// the square of their number.
const indexStep = 355

// of counts one operation.
func (c counted) of(operation string) float64 {
	switch operation {
	case once:
		return 1
	case ruleWritten, rulePresent:
		return float64(c.Rules)
	case chainIndexed:
		return float64(c.Chains) * float64(c.Chains) / indexStep
	case object:
		return float64(c.VIPs + c.Servers + c.Reals + c.Entries)
	case vipScanned:
		// The kernel looks through all addresses of the host whenever one is
		// added.
		return float64(c.VIPs) * float64(c.VIPs) / 2
	case vipBound:
		return float64(c.VIPs)
	case portal:
		return float64(c.Portals)
	case blobByte:
		return float64(c.Blob)
	case ruleLooked:
		return c.rules - c.behind
	case ruleBehind:
		return c.behind
	case chainJumped:
		return c.jumps
	case server:
		return c.servers
	case inBucket:
		return c.bucket
	case copied:
		return c.copies
	case natted:
		if c.direct {
			return 0
		}
		return 1
	}
	return 0
}

// Quantity is something that is predicted.
type Quantity struct {
	Name   string
	Metric string
	With   map[string]string
	// Packet is set for what depends on a packet's way and is fitted over all
	// modes together: a rule costs the same in each of them.
	Packet bool
	// Positions are those whose samples are used, of a Packet quantity.
	Positions []string
	// operations lists what it is made of in a mode; nil: not predicted.
	operations func(mode string) []string
}

// Names of quantities.
const (
	FirstPacket   = "first packet"
	ConnectionCPU = "CPU a connection"
	FullSync      = "full sync"
	KernelMemory  = "kernel memory"
	ToolMemory    = "tool memory"
	ProxyMemory   = "proxy memory"
)

// Quantities lists what can be predicted.
func Quantities() []Quantity {
	packet := func(string) []string {
		return []string{once, ruleLooked, chainJumped, natted, server, inBucket, copied}
	}
	connection := func(string) []string {
		return []string{once, ruleLooked, ruleBehind, chainJumped, natted, server, inBucket, copied}
	}
	byMode := func(table map[string][]string) func(string) []string {
		return func(mode string) []string { return table[mode] }
	}
	written := []string{once, ruleWritten, chainIndexed}
	out := []Quantity{
		{FirstPacket, results.FirstPacket, map[string]string{results.Protocol: "tcp", results.From: "client"}, true, []string{"first", "middle", "last"}, packet},
		{ConnectionCPU, results.ConnectionCPU, nil, true, []string{"random"}, connection},
		{FullSync, results.SyncFull, nil, false, nil, byMode(map[string][]string{
			"userspace": {once, ruleWritten}, "iptables": written, "iptables-tree": written, "ipvs": {once, object, vipScanned},
		})},
		{KernelMemory, results.KernelMemory, nil, false, nil, byMode(map[string][]string{
			"userspace": {once, blobByte, portal}, "iptables": {once, blobByte}, "iptables-tree": {once, blobByte}, "ipvs": {once, object},
		})},
		{ToolMemory, results.ToolPeakRSS, map[string]string{results.Change: "full"}, false, nil, byMode(map[string][]string{
			"userspace": {once, ruleWritten}, "iptables": {once, ruleWritten}, "iptables-tree": {once, ruleWritten},
		})},
		{ProxyMemory, results.ProxyPeakRSS, nil, false, nil, byMode(map[string][]string{"userspace": {once, portal}})},
	}
	for _, kind := range synth.ChangeKinds() {
		endpoint := slices.Contains([]string{synth.EndpointAdd, synth.EndpointDelete}, kind)
		table := map[string][]string{
			"userspace": {once, rulePresent}, "iptables": {once, rulePresent}, "iptables-tree": {once, rulePresent}, "ipvs": {once, vipBound},
		}
		if endpoint { // neither touches a rule nor an address
			table["userspace"], table["ipvs"] = []string{once}, []string{once}
		}
		out = append(out, Quantity{kind, results.SyncDelta, map[string]string{results.Change: kind}, false, nil, byMode(table)})
	}
	return out
}
