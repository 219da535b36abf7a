package iptables

import "viplab/modes"

// Limits are what the mode cannot do.
func Limits() modes.Limits {
	return modes.Limits{
		modes.SchedulerChoice:    "the choice is a random match in a rule",
		modes.DirectServerReturn: "the nat table rewrites the destination",
	}
}
