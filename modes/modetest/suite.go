package modetest

import (
	"testing"
	"time"

	"viplab/modes"
)

// Options say what is different about a mode although nothing is wrong with it.
type Options struct {
	// HistoryShows is set for a mode whose objects depend on what came before, such as
	// ports that were handed out; that it serves alike is proven all the same.
	HistoryShows bool
	// AffinityLingers is how much longer than its timeout a client's choice may be
	// kept while its connections are remembered.
	AffinityLingers time.Duration
	// Differs lists where the mode does otherwise than the suite wants, each with the
	// reason: stories by "file: title", and [EarlyNodePort]. A story that is listed and
	// ends as it should is an error too.
	Differs map[string]string
}

// EarlyNodePort, in [Options], is that a client which has been sending datagrams to a node
// port since before there was one is answered once there is.
const EarlyNodePort = "early datagram flows to a node port"

// RunClusterIP plays the part of the suite that any mode can pass which serves ClusterIPs
// of IPv4 over TCP and UDP.
func RunClusterIP(t *testing.T, m modes.Mode, o Options) {
	t.Run("forwarding", func(t *testing.T) { forwarding(t, m) })
	t.Run("second sync does nothing", func(t *testing.T) { secondSyncDoesNothing(t, m) })
	t.Run("changes end as fresh", func(t *testing.T) { changesEndAsFresh(t, m, o) })
}

// Run plays the conformance suite for a mode.
func Run(t *testing.T, m modes.Mode, o Options) {
	t.Run("forwarding", func(t *testing.T) { forwarding(t, m) })
	if m.Baseline {
		return
	}
	t.Run("second sync does nothing", func(t *testing.T) { secondSyncDoesNothing(t, m) })
	t.Run("close leaves nothing", func(t *testing.T) { closeLeavesNothing(t, m) })
	t.Run("changes end as fresh", func(t *testing.T) { changesEndAsFresh(t, m, o) })
	t.Run("refresh changes nothing", func(t *testing.T) { refreshChangesNothing(t, m) })
	able := func(name string, test func(*testing.T), needs ...modes.Ability) {
		t.Run(name, func(t *testing.T) {
			for _, a := range needs {
				if why, lacks := m.Limits[a]; lacks {
					t.Skipf("the mode cannot: %s: %s", a, why)
				}
			}
			test(t)
		})
	}
	able("families", func(t *testing.T) { families(t, m) }, modes.ServesIPv6)
	able("services change", func(t *testing.T) { alter(t, m) }, modes.SessionAffinity, modes.ExternalIPs)
	able("affinity ends", func(t *testing.T) { affinityEnds(t, m, o) }, modes.SessionAffinity)
	able("node ports and pods change hands", func(t *testing.T) { exchange(t, m) }, modes.NodePorts)
	able("node addresses come and go", func(t *testing.T) { nodeAddresses(t, m, o) }, modes.NodePorts, modes.ExternalIPs)
	able("early datagram flows", func(t *testing.T) { earlyUDP(t, m, o) }, modes.NodePorts, modes.ExternalIPs)
	t.Run("stale datagram flows", func(t *testing.T) { staleUDP(t, m) })
	t.Run("random services", func(t *testing.T) { tangled(t, m, o) })
	t.Run("stories", func(t *testing.T) { stories(t, m, o) })
}
