package simulate

import (
	"maps"
	"slices"

	"viplab/modes"
	"viplab/results"
)

// Operations on a packet's way whose counts predictions are made of, beside those of
// the modes' own models. Each has a cost in a Calibration, in the unit of the quantity
// that it is part of.
const (
	once        = "once"
	ruleLooked  = "rule looked at"
	ruleBehind  = "rule looked at for the proxy's own connection"
	chainJumped = "chain jumped into"
	natted      = "translation of a flow"
	server      = "virtual server looked up"
	inBucket    = "virtual server in the bucket"
	copied      = "connection copied"
)

// counted is how often each operation is done, by name.
type counted map[string]float64

// stateCounts counts the terms of a quantity in a mode where so much is programmed.
func stateCounts(m modes.Mode, quantity string, c modes.Counts) counted {
	out := counted{}
	for _, t := range m.Model.Parts[quantity] {
		out[t.Name] = t.Of(c)
	}
	return out
}

// packetCounts adds share of the operations on a packet's way.
func (n counted) add(m modes.Mode, o modes.Operations, share float64) {
	n[once] += share
	n[ruleLooked] += share * float64(o.Rules-o.Behind)
	n[ruleBehind] += share * float64(o.Behind)
	n[chainJumped] += share * float64(o.Jumps)
	n[server] += share * float64(o.Servers)
	n[inBucket] += share * float64(o.Bucket)
	n[copied] += share * float64(o.Copies)
	switch {
	case m.Baseline:
	case m.Model != nil && m.Model.Flow != "":
		n[m.Model.Flow] += share
	default:
		n[natted] += share
	}
}

// Quantity is something that is predicted.
type Quantity struct {
	Name   string
	Metric string
	With   map[string]string
	// Packet lists the operations that a packet's costs are fitted over, all modes
	// together: a rule costs the same in each of them. It is empty for what each
	// mode's own model says.
	Packet []string
	// Positions are those whose samples are used, of a Packet quantity.
	Positions []string
	// Least is the value below which a cell says nothing.
	Least float64
}

// leastMemory is the growth of the kernel's memory, in bytes, below which much of it hides in
// places that were free before.
const leastMemory = 2e6

// terms lists what a quantity is made of in a mode; none: it is not predicted.
func (q Quantity) terms(m modes.Mode) (out []string) {
	if len(q.Packet) > 0 {
		return q.Packet
	}
	if m.Model == nil {
		return nil
	}
	for _, t := range m.Model.Parts[q.Name] {
		out = append(out, t.Name)
	}
	return out
}

// fitted lists the terms that a fit over those observations has: what is in any of them, but
// what they are too small to say anything about. Of one size alone, what grows with it cannot
// be told from what does not; then all counts as growing.
func (q Quantity) fitted(m modes.Mode, group []Observation) (out []string) {
	if len(q.Packet) == 0 {
		for _, t := range m.Model.Parts[q.Name] {
			if slices.ContainsFunc(group, func(o Observation) bool { return o.Services >= t.From }) {
				out = append(out, t.Name)
			}
		}
		one := !slices.ContainsFunc(group, func(o Observation) bool { return o.Services != group[0].Services })
		if grows := slices.DeleteFunc(slices.Clone(out), func(t string) bool { return t == modes.Once.Name }); one && len(grows) > 0 {
			return grows
		}
		return out
	}
	all := counted{}
	for _, o := range group {
		for op, times := range o.n {
			if times > 0 { // else a fit would find that it costs nothing
				all[op] = 1
			}
		}
	}
	if !slices.Contains(q.Packet, ruleBehind) {
		delete(all, ruleBehind)
	}
	return slices.Sorted(maps.Keys(all))
}

// Names of quantities of packets.
const (
	FirstPacket   = "first packet"
	ConnectionCPU = "CPU a connection"
)

// firstPacket is the round trip of a TCP connection's first packet, from a client. Where a proxy
// shares the client's CPU, it connects onwards before the client has read the clock.
func firstPacket() Quantity {
	return Quantity{Name: FirstPacket, Metric: results.FirstPacket, With: map[string]string{results.Protocol: "tcp", results.From: "client"},
		Packet: []string{once, ruleLooked, ruleBehind, chainJumped, natted, server, inBucket, copied}, Positions: []string{"first", "middle", "last"}}
}

// connectionCPU is the CPU time of a connection to a random Service.
func connectionCPU() Quantity {
	return Quantity{Name: ConnectionCPU, Metric: results.ConnectionCPU,
		Packet: []string{once, ruleLooked, ruleBehind, chainJumped, natted, server, inBucket, copied}, Positions: []string{"random"}}
}

// Quantities lists what can be predicted.
func Quantities() []Quantity {
	out := []Quantity{
		firstPacket(), connectionCPU(),
		{Name: modes.FullSync, Metric: results.SyncFull},
		{Name: modes.KernelMemory, Metric: results.KernelMemory, Least: leastMemory},
		{Name: modes.ToolMemory, Metric: results.ToolPeakRSS, With: map[string]string{results.Change: "full"}},
		{Name: modes.ProxyMemory, Metric: results.ProxyPeakRSS},
	}
	for _, kind := range modes.ChangeKinds() {
		out = append(out, Quantity{Name: kind, Metric: results.SyncDelta, With: map[string]string{results.Change: kind}})
	}
	return out
}
