package modes

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Counts is how much of what a mode holds, by kind: "rules", "set entries".
type Counts map[string]float64

// Kinds of Counts that several modes have. A mode may count others.
const (
	CountRules   = "rules"
	CountChains  = "chains"
	CountBlob    = "table bytes" // of the tables as the kernel holds them
	CountText    = "text bytes"  // for the tool that writes them
	CountEntries = "set entries"
	CountServers = "virtual servers"
	CountReals   = "real servers"
	CountVIPs    = "bound VIPs"
	CountPortals = "proxy ports"
)

// String lists the counts that are not zero, by name: "3 chains, 12 rules".
func (c Counts) String() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(c)) {
		switch c[k] {
		case 0:
		case 1:
			out = append(out, "1 "+single(k))
		default:
			out = append(out, fmt.Sprintf("%.0f %s", c[k], k))
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

// single is a kind of Counts of which there is one.
func single(kind string) string {
	if stem, ok := strings.CutSuffix(kind, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(kind, "s")
}

// Plus is the counts and, share times, what more has beyond them.
func (c Counts) Plus(more Counts, share float64) Counts {
	out := maps.Clone(more)
	for k, v := range out {
		out[k] = c[k] + share*(v-c[k])
	}
	return out
}

// Topology is the Services of a Snapshot that needs not be held whole.
type Topology interface {
	// Count is how many Services there are.
	Count() int
	// At makes the Service at a position, from 0; VIP is its address alone.
	At(position int) *Service
	VIP(position int) netip.Addr
	// Head is the Snapshot of the first n Services.
	Head(n int) Snapshot
	// Fronts yields all Service ports in the order of the Services, with the
	// position of the Service that each belongs to.
	Fronts() iter.Seq2[int, Front]
}

// Quantities that a Model can be given for, beside those of kinds of change
// ("service-add").
const (
	FullSync     = "full sync"
	KernelMemory = "kernel memory"
	ToolMemory   = "tool memory"
	ProxyMemory  = "proxy memory"
)

// Term is a part of a quantity: an operation, and how often it is done where so much
// is programmed. What one costs is fitted to measurements, by name.
type Term struct {
	Name string
	Of   func(Counts) float64
	// From is the number of Services that must have been measured for the term to be told
	// from noise, 0 for any: what grows with a square is little at small ones.
	From int
}

// Terms that several modes have.
var (
	// Once is what does not depend on the number of Services.
	Once = Term{Name: "once", Of: func(Counts) float64 { return 1 }}
	// RuleWritten is a rule that a sync writes.
	RuleWritten = Term{Name: "rule written", Of: func(c Counts) float64 { return c[CountRules] }}
	// RulePresent is a rule that is there when another is written.
	RulePresent = Term{Name: "rule in the table", Of: func(c Counts) float64 { return c[CountRules] }}
	// TableByte is a byte of the kernel's tables.
	TableByte = Term{Name: "byte of the table", Of: func(c Counts) float64 { return c[CountBlob] }}
)

// Model says what a mode's costs are made of, so that they can be predicted at any
// number of Services: a sum of counts, each times what one costs.
type Model struct {
	// Parts lists the terms of each quantity.
	Parts map[string][]Term
	// Flow names what a new flow costs beside what it is held against, where that is done by
	// other means than in the modes of iptables rules; empty for those.
	Flow string
	// Apart is set where the changes of one sync share nothing: a sync of many takes
	// as long as as many syncs of one.
	Apart bool
	// State counts what is programmed for a Topology; line extends in a straight line
	// what a plan says of two samples of it. May be nil: the line of the mode's own
	// Program is right.
	State func(a Args, t Topology, line func(plan func(Snapshot) Program) Counts) Counts
	// Dispatch counts what a first packet meets of the Services that it is not for:
	// it returns what each of the given positions has to add to the Operations that
	// are counted where its Service is alone. May be nil: nothing is added.
	Dispatch func(a Args, t Topology, positions []int) map[int]Operations
}
