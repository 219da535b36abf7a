package ebpf

import "viplab/modes"

// Limits are what the mode cannot do, wherever it is attached.
func Limits() modes.Limits {
	return modes.Limits{
		modes.SchedulerChoice:    "all endpoints have the same share: at random, or by Maglev's table",
		modes.DirectServerReturn: "the programs rewrite addresses; what they send on, they route by the endpoint",
		modes.ServesSCTP:         "other ports need a new CRC32c of the whole packet, which a BPF program cannot compute",
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

// caveats are what a reader of the mode's figures must know.
func caveats() []modes.Caveat {
	return []modes.Caveat{
		{When: modes.Args{AttachParam: string(Socket)}, Text: "Programs at sockets (attach=socket) serve connections that begin on the node itself, and " +
			"no others: all figures of this variant are from there (from=node), and none can be set beside one from a client elsewhere."},
		{When: modes.Args{AttachParam: string(Both)}, Text: "Mode ebpf serves clients elsewhere where their packets enter the node; only what starts on " +
			"the node (from=node) is served at its socket, without a translation of packets."},
	}
}
