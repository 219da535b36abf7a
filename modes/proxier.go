package modes

import (
	"context"
	"time"
)

// Proxier programs one node's Service data plane. It works in the network
// namespace of the thread that calls it. What it programs may be gone as soon as nobody holds
// it any more: keep it until Close.
type Proxier interface {
	// Probe says what this kernel or machine lacks for the mode: nil, or a
	// [MissingError]. It leaves nothing behind.
	Probe(ctx context.Context) error
	// Sync makes the kernel match the whole Snapshot. The first call expects
	// a namespace without the mode's objects; a later call programs only what
	// differs, and the same Snapshot twice does nothing the second time.
	//
	// An error leaves the kernel somewhere between the Snapshot before and this one.
	// The next Sync mends that: it makes the kernel match its own Snapshot, whatever
	// was left. What somebody else changes in the kernel meanwhile is noticed where a
	// later change touches it and is refused, at the latest by [Refresher].
	Sync(ctx context.Context, s Snapshot) (Cost, error)
	// Dump is what the kernel holds now, as text, for people.
	Dump(ctx context.Context) (string, error)
	// Close removes all that Sync made. It may be called twice.
	Close() error
}

// Cost is what a Sync took. It is a measured quantity, not a log line.
type Cost struct {
	// ReadBack, Plan, Start, Encode, Commit and CleanUp split the wall-clock time of
	// the Sync: reading what the kernel holds, working out what to change,
	// starting tools (fork until exec has succeeded), writing it as text or
	// messages, the tool or kernel carrying it out, and, when all of that is in force,
	// deleting conntrack entries that lead where the Services lead no more.
	ReadBack, Plan, Start, Encode, Commit, CleanUp time.Duration
	// Apart is time that the Sync took beside them and a node would not: starting a
	// program that is the mode, and telling it what changed. It comes before the rest, and
	// is no part of what the Sync is said to have taken.
	Apart time.Duration
	// Rules is how many iptables rules were written or deleted.
	Rules int
	// Objects is how many other kernel objects were touched: addresses,
	// virtual servers, real servers, set entries, listening sockets.
	Objects int
	// ToolCalls is how many processes were started.
	ToolCalls int
	// Bytes is how much text or how many netlink bytes went to the kernel or
	// a tool.
	Bytes int
	// ToolCPU is user plus system time of the started tools, and of a program that is
	// the mode.
	ToolCPU time.Duration
	// ToolPeakRSS is the largest resident set of any started tool, in bytes.
	ToolPeakRSS int64
}

// Add adds the other Cost's counts and times to this one.
func (c *Cost) Add(o Cost) {
	c.ReadBack += o.ReadBack
	c.Plan += o.Plan
	c.Start += o.Start
	c.Encode += o.Encode
	c.Commit += o.Commit
	c.CleanUp += o.CleanUp
	c.Apart += o.Apart
	c.Rules += o.Rules
	c.Objects += o.Objects
	c.ToolCalls += o.ToolCalls
	c.Bytes += o.Bytes
	c.ToolCPU += o.ToolCPU
	c.ToolPeakRSS = max(c.ToolPeakRSS, o.ToolPeakRSS)
}

// Total is the sum of the phases.
func (c Cost) Total() time.Duration {
	return c.ReadBack + c.Plan + c.Start + c.Encode + c.Commit + c.CleanUp
}
