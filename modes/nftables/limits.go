package nftables

import "viplab/modes"

// Limits are what the mode cannot do.
func Limits() modes.Limits {
	return modes.Limits{
		modes.SchedulerChoice:    "the choice is a random number in a rule",
		modes.LocalhostPorts:     "kube-proxy's nftables mode keeps them away from loopback addresses",
		modes.DirectServerReturn: "the nat chains rewrite the destination",
	}
}
