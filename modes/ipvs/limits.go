package ipvs

import "viplab/modes"

// Limits are what the mode cannot do.
func Limits() modes.Limits {
	return modes.Limits{
		modes.LocalhostPorts:  "node ports are virtual servers at the node's addresses, not at loopback's, as in kube-proxy",
		modes.MasqueradeAll:   "not programmed",
		modes.NodePortsAtSome: "not programmed",
	}
}
