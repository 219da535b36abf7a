package ebpf

import "viplab/modes"

// Limits are what the mode cannot do, wherever it is attached.
func Limits() modes.Limits {
	return modes.Limits{
		modes.SchedulerChoice:    "all endpoints have the same share: at random, or by Maglev's table",
		modes.DirectServerReturn: "the programs rewrite addresses; what they send on, they route by the endpoint",
		modes.ServesSCTP:         "SCTP's ports stand under a CRC32c of the whole packet, which a BPF program cannot compute anew",
	}
}

// LimitsAt are what the mode cannot do where it is attached.
func LimitsAt(a Attach) modes.Limits {
	l := Limits()
	if a == Socket {
		l[modes.SourceRanges] = "when a socket dials, it has no source address yet; attach at tc too"
	}
	return l
}
