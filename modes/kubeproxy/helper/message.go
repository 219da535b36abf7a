package helper

import "encoding/json"

// Protocol is the version of the line protocol that is spoken here.
const Protocol = 1

// request is a line from the lab; viplab/modes/pipe has the meaning of each.
type request struct {
	Do       string            `json:"do"`
	ID       int               `json:"id"`
	Protocol int               `json:"protocol"`
	Family   string            `json:"family"`
	Args     map[string]string `json:"args"`
	Node     Node              `json:"node"`
	Object   json.RawMessage   `json:"object"`
}

// Node is the node as the lab describes it.
type Node struct {
	Name               string   `json:"name"`
	Zone               string   `json:"zone"`
	Addresses          []string `json:"addresses"`
	ClusterCIDR        string   `json:"clusterCIDR"`
	MasqueradeAll      bool     `json:"masqueradeAll"`
	LocalhostNodePorts bool     `json:"localhostNodePorts"`
	NodePortAddresses  []string `json:"nodePortAddresses"`
}

// reply is a line to the lab.
type reply struct {
	Did        string  `json:"did"`
	ID         int     `json:"id,omitempty"`
	Protocol   int     `json:"protocol,omitempty"`
	Name       string  `json:"name,omitempty"`
	Version    string  `json:"version,omitempty"`
	Seconds    float64 `json:"seconds,omitempty"`
	CPUSeconds float64 `json:"cpu_seconds,omitempty"`
	Rules      int     `json:"rules,omitempty"`
	ToolCalls  int     `json:"tool_calls,omitempty"`
	Error      string  `json:"error,omitempty"`
}
