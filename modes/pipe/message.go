package pipe

import (
	"encoding/json"
	"runtime"
	"time"

	"viplab/modes"
)

// Protocol is the version of the line protocol.
const Protocol = 1

// What the lab asks for, and what a program says it did.
const (
	Hello, Set, Delete, SyncNow, CloseAll = "hello", "set", "delete", "sync", "close"

	Greeted, Programmed, Closed, Failed = "hello", "programmed", "closed", "error"
)

// Request is one line to the program. Which fields are set depends on Do.
type Request struct {
	Do string `json:"do"`
	// ID is repeated in the answer.
	ID       int             `json:"id,omitempty"`
	Protocol int             `json:"protocol,omitempty"`
	Family   modes.Family    `json:"family,omitempty"`
	Args     modes.Args      `json:"args,omitempty"`
	Node     *Node           `json:"node,omitempty"`
	Object   json.RawMessage `json:"object,omitempty"`
}

// Node is the node that a program serves, of the one family.
type Node struct {
	// Name is what endpoints on the node have as their nodeName, and Zone what hints
	// call the zone that it is in.
	Name string `json:"name"`
	Zone string `json:"zone"`
	// Addresses are the node's own, the first one is what it is known by.
	Addresses []string `json:"addresses,omitempty"`
	// ClusterCIDR is the range of the pods, empty if there is none.
	ClusterCIDR string `json:"clusterCIDR,omitempty"`
	// MasqueradeAll, LocalhostNodePorts and NodePortAddresses are settings of kube-proxy:
	// see [modes.NodeConfig].
	MasqueradeAll      bool     `json:"masqueradeAll"`
	LocalhostNodePorts bool     `json:"localhostNodePorts"`
	NodePortAddresses  []string `json:"nodePortAddresses,omitempty"`
}

// Reply is one line of the program.
type Reply struct {
	Did string `json:"did"`
	ID  int    `json:"id"`
	// Protocol, Name and Version answer hello.
	Protocol int    `json:"protocol"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	// Seconds is how long the sync took by the program's own clock, from when it knew
	// what there is to be; 0, and what is longer than the lab waited, lets the lab's clock
	// decide.
	Seconds float64 `json:"seconds"`
	// CPUSeconds is the processor time of the program and its tools in the sync. More than
	// all processors have is as if nothing was said of it, and so is less than nothing of
	// any of these.
	CPUSeconds float64 `json:"cpu_seconds"`
	// Rules, Objects, ToolCalls, Bytes and ToolPeakRSS are as in [modes.Cost]. Where a
	// program says nothing of objects, those that it was told of count; where it says
	// nothing of its tools' memory, the lab looks at its children.
	Rules       int   `json:"rules"`
	Objects     int   `json:"objects"`
	ToolCalls   int   `json:"tool_calls"`
	Bytes       int   `json:"bytes"`
	ToolPeakRSS int64 `json:"tool_peak_rss_bytes"`
	// Error is what failed.
	Error string `json:"error"`
}

// cpuSlack is by how much the kernel's account of processor time may be ahead of the
// clock: some ticks.
const cpuSlack = 50 * time.Millisecond

// cpu is the processor time that the program said a sync took, 0 if that cannot be: more
// than all processors had from when it was told what changed.
func (r Reply) cpu(whole time.Duration) time.Duration {
	most := (whole + cpuSlack).Seconds() * float64(runtime.NumCPU())
	if r.CPUSeconds < 0 || r.CPUSeconds > most {
		return 0
	}
	return seconds(r.CPUSeconds)
}
