// Package proxy is the process behind the mode `userspace`: it listens on one
// port for each Service port and carries bytes between clients and endpoints,
// round robin.
//
// It is one thread around epoll, edge-triggered: every connection costs two
// registrations and, for a small request and answer, one receive and one send
// a direction. Bulk data goes through a pipe with splice(2), so that it never
// enters user memory.
//
// The process takes [Update]s on standard input and answers each with a [Reply]
// on standard output, both gob; it ends when its input ends.
package proxy

import (
	"net/netip"
	"time"

	"viplab/modes"
)

// Portal is one Service port to serve.
type Portal struct {
	ID        uint32
	UDP       bool
	Family    modes.Family
	Endpoints []netip.AddrPort
	// Affinity is for how long after its last connection a client keeps its
	// endpoint, 0 for none.
	Affinity time.Duration
}

// Update opens portals, changes the endpoints of open ones, and closes others.
type Update struct {
	// Ports is the range of ports to listen on, inclusive.
	Ports  [2]uint16
	Set    []Portal
	Delete []uint32
}

// Reply answers an Update.
type Reply struct {
	// Opened has the listening port of each portal that was not open before,
	// in the order of Update.Set.
	Opened []uint16
	// Err says why the Update failed, empty if it did not.
	Err string
}
