package modes

import (
	"io"
	"net/netip"
)

// Program is what a mode has put into a node's kernel and beside it, as values: no
// kernel is asked.
type Program interface {
	// Follow plays the way of a flow's first packet on a node of the given address.
	Follow(node netip.Addr, f Flow) Way
	// Counts is how much of what there is.
	Counts() Counts
	// Write writes all of it for people, as the mode's own tools would show it.
	Write(w io.Writer) error
}

// Front is what clients dial: a Service port at one address.
type Front struct {
	Proto Protocol
	Addr  netip.AddrPort
}

// From is where a flow starts.
type From string

// Places where flows start. A Pod's flow comes in over the network like a
// client's, from an endpoint's address.
const (
	FromClient From = "client"
	FromNode   From = "node"
	FromPod    From = "pod"
)

// Flow is the first packet of a flow.
type Flow struct {
	From  From     `json:"from"`
	Proto Protocol `json:"protocol"`
	// Src is the sender. One that starts at the node may leave it open: it is then the
	// address that the kernel would choose.
	Src netip.AddrPort `json:"src"`
	Dst netip.AddrPort `json:"dst"`
	// Pick is which endpoint chance or the scheduler chooses, from 0.
	Pick int `json:"-"`
	// Before is the endpoint that the client had lately, invalid for none; it
	// matters to Services with affinity.
	Before netip.Addr `json:"-"`
}

// Fate is what became of a packet.
type Fate string

// Fates.
const (
	ToEndpoint Fate = "endpoint" // of a Service
	Refused    Fate = "refused"  // an ICMP error answers
	Lost       Fate = "dropped"
	ToNode     Fate = "node"    // a socket of the node itself, or its reset
	Closed     Fate = "closed"  // accepted by the proxy, which then closes it
	Unchanged  Fate = "no rule" // routed on as if there were no Service
	Undecided  Fate = "unknown" // it met something of which is not known what it does
)

// Way is a packet's whole way.
type Way struct {
	Steps []Step `json:"steps"`
	Fate  Fate   `json:"fate"`
	// To is where the packet arrives, if Fate is ToEndpoint.
	To netip.AddrPort `json:"to,omitzero"`
	// Seen is the address that the receiver sees as the sender's.
	Seen netip.Addr `json:"seen,omitzero"`
	// Masqueraded is whether that is the node's address in place of the sender's.
	Masqueraded bool `json:"masqueraded"`
	// Unknown is what the packet met of which is not known what it does: if Fate is
	// Undecided it decides what becomes of the packet, else it does not.
	Unknown string `json:"unknown,omitempty"`
	// Chances are the ends that chance can lead the packet to, if there are several.
	Chances    []Chance `json:"chances,omitempty"`
	Operations `json:"operations"`
}

// Chance is an end that chance leads packets to, with its probability.
type Chance struct {
	Fate        Fate           `json:"fate"`
	To          netip.AddrPort `json:"to,omitzero"`
	Probability float64        `json:"probability"`
}

// Step is something that a packet met: a rule that it matched, a look-up.
type Step struct {
	Hook  string `json:"hook"`
	Table string `json:"table"`
	Chain string `json:"chain"`
	Rule  int    `json:"rule"` // counted from 1; 0 if the step is no rule
	// Looked is how many rules of the chain were looked at from where the
	// packet last was in it, this one included.
	Looked int    `json:"looked"`
	Text   string `json:"text"` // as the mode's own tool writes it
	Does   string `json:"does"`
}

// Operations counts what is done on a packet's way.
type Operations struct {
	Rules   int `json:"rules"`            // looked at
	Jumps   int `json:"jumps"`            // into a chain
	Sets    int `json:"sets"`             // look-ups in a set or map
	Servers int `json:"servers"`          // look-ups in the table of virtual servers
	Copies  int `json:"copies"`           // connections ended and begun anew in user space
	Bucket  int `json:"bucket,omitempty"` // virtual servers looked at before the right one, in its hash bucket
	Behind  int `json:"behind,omitempty"` // those of Rules that a proxy's own connection is held against
}

// Add adds the other's counts to these.
func (o *Operations) Add(more Operations) {
	o.Rules += more.Rules
	o.Jumps += more.Jumps
	o.Sets += more.Sets
	o.Servers += more.Servers
	o.Copies += more.Copies
	o.Bucket += more.Bucket
	o.Behind += more.Behind
}
