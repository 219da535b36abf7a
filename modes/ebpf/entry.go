package ebpf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"viplab/modes"
)

// Kind is what an Entry is. Its order is the order in which entries are written, so that
// whatever an entry refers to is there before it; they are deleted in the opposite one.
type Kind int

// The kinds. Slots and Ports are in one map of the kernel, as the slots from 1 and the
// slots 0.
const (
	Backends Kind = iota
	Sources
	Tables
	Slots
	Ports
	kinds
)

// Front is what clients dial, and a slot of it.
type Front struct {
	// Addr is unspecified for a node port.
	Addr  netip.Addr
	Port  uint16
	Proto modes.Protocol
	// Inside is for senders of the cluster and of the node, where they get other
	// endpoints than others (external traffic policy Local).
	Inside bool
	// Slot is 0 for the Service port, else counts its endpoints from 1.
	Slot uint32
}

// Flags say how a front is served. The values are those of bpf/maps.h.
type Flags uint16

// Flags of fronts.
const (
	ClusterIP  Flags = 1 << iota // senders from outside of the cluster are masqueraded
	Masquerade                   // everybody is
	Scoped                       // there is an Inside twin
	Ranges                       // only the sources in the map of that name are served
	Silent                       // without an endpoint packets are dropped, not refused
	Local                        // it leads to this node's endpoints
)

// Names of flags in text.
var flagNames = []string{"cluster-ip", "masquerade", "scoped", "ranges", "silent", "local"}

// String lists the flags.
func (f Flags) String() string {
	var out []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

// Service is what a slot of a front holds.
type Service struct {
	// ID is the Service port's in slot 0, a backend's in others.
	ID    uint32
	Count uint16
	Flags Flags
	// Affinity is for how many seconds a client keeps its backend, 0 for none.
	Affinity uint32
}

// Fronts say which fronts of a Service port lead to a backend, so that affinity does not
// lead past them. The values are those of bpf/maps.h.
type Fronts uint16

// Fronts by the traffic policy that they are under.
const (
	ByCluster Fronts = 1 << iota // those without [Local]
	ByLocal                      // those with it
)

// Key tells entries apart: Front for Slots and Ports, ID for the rest, Source beside it
// for Sources.
type Key struct {
	Kind   Kind
	Front  Front
	ID     uint32
	Source netip.Prefix
}

// Entry is one entry of a map, with the value that its kind has.
type Entry struct {
	Key
	Service Service        // of Ports and Slots
	Backend netip.AddrPort // of Backends
	Fronts  Fronts         // of Backends
	Table   []uint32       // of Tables: ids of backends
}

func (e Entry) equal(o Entry) bool {
	return e.Key == o.Key && e.Service == o.Service && e.Backend == o.Backend && e.Fronts == o.Fronts && slices.Equal(e.Table, o.Table)
}

// String is the front as "10.96.0.1:80/tcp", with "inside" where that matters.
func (f Front) String() string {
	s := fmt.Sprintf("%s/%s", netip.AddrPortFrom(f.Addr, f.Port), f.Proto)
	if f.Inside {
		s += " inside"
	}
	return s
}

// String is the entry as a line for people and goldens.
func (e Entry) String() string {
	switch e.Kind {
	case Backends:
		return fmt.Sprintf("backend %d is %s", e.ID, e.Backend)
	case Sources:
		return fmt.Sprintf("source %s of service %d", e.Source, e.ID)
	case Tables:
		return fmt.Sprintf("table of service %d has %s", e.ID, shares(e.Table))
	case Slots:
		return fmt.Sprintf("slot %s #%d is backend %d", e.Front, e.Front.Slot, e.Service.ID)
	}
	s := fmt.Sprintf("service %s is %d with %d backends", e.Front, e.Service.ID, e.Service.Count)
	if e.Service.Flags != 0 {
		s += ", " + e.Service.Flags.String()
	}
	if e.Service.Affinity != 0 {
		s += fmt.Sprintf(", affinity %ds", e.Service.Affinity)
	}
	return s
}

// shares says how often each backend stands in a table of Maglev's.
func shares(table []uint32) string {
	ids := slices.Clone(table)
	slices.Sort(ids)
	var out []string
	for _, id := range slices.Compact(ids) {
		out = append(out, fmt.Sprintf("%d x backend %d", count(table, id), id))
	}
	return strings.Join(out, ", ")
}
