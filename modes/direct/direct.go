// Package direct is the mode `direct`: no Service at all. Probes go straight
// to the endpoints, through the same namespaces. It is the physical limit that
// the other modes are measured against.
package direct

import (
	"context"
	"net/netip"

	"viplab/modes"
	"viplab/modes/packet"
)

// Proxier programs nothing.
type Proxier struct{}

// Probe implements [modes.Proxier]; nothing can be missing.
func (Proxier) Probe(context.Context) error { return nil }

// Sync implements [modes.Proxier]; it does nothing.
func (Proxier) Sync(context.Context, modes.Snapshot) (modes.Cost, error) { return modes.Cost{}, nil }

// Dump implements [modes.Proxier]; there is nothing to show.
func (Proxier) Dump(context.Context) (string, error) { return "", nil }

// Close implements [modes.Proxier].
func (Proxier) Close() error { return nil }

// Mode is the mode as a value.
func Mode() modes.Mode {
	return modes.Mode{
		Name: "direct", Summary: "no Service: probes go to the endpoints; the physical limit", DataPath: "none",
		Baseline: true, Limits: limits(),
		New:     func(modes.Args, modes.Machine) modes.Proxier { return Proxier{} },
		Program: func(modes.Args, modes.Snapshot, netip.Addr) modes.Program { return packet.Program{} },
		Model:   &modes.Model{},
	}
}

// limits: without a Service nothing of one is there.
func limits() modes.Limits {
	l := modes.Limits{}
	for _, a := range modes.Abilities() {
		l[a] = "there is no Service"
	}
	return l
}
