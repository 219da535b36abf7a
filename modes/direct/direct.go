// Package direct is the mode `direct`: no Service at all. Probes go straight
// to the endpoints, through the same namespaces. It is the physical limit that
// the other modes are measured against.
package direct

import (
	"context"

	"viplab/modes"
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
