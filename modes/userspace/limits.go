package userspace

import "viplab/modes"

// Limits are what the mode cannot do.
func Limits() modes.Limits {
	return modes.Limits{
		modes.NoEndpoints:        "the proxy accepts the connection before it knows that there is no endpoint, and then closes it",
		modes.SourceRanges:       "the portal rules redirect whoever asks; kube-proxy's userspace mode did the same",
		modes.ExternalLocal:      "the proxy sees connections, not where they came in",
		modes.InternalLocal:      "the proxy has one list of endpoints for each Service port",
		modes.KeepsSource:        "the endpoint sees the proxy's own connection",
		modes.SchedulerChoice:    "the proxy goes round robin",
		modes.DirectServerReturn: "the proxy opens a connection of its own",
		modes.ServesSCTP:         "the proxy copies TCP and UDP only",
	}
}
