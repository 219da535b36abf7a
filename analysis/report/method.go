package report

import (
	_ "embed"
	"strings"

	"viplab/analysis/summary"
	"viplab/results"
)

//go:embed method.txt
var methodText string

// method says how the figures came about, a paragraph each.
func method() []string {
	var out []string
	for paragraph := range strings.SplitSeq(methodText, "\n\n") {
		out = append(out, strings.Join(strings.Fields(paragraph), " "))
	}
	return out
}

// caution is a limit of what a report's figures say, where a key of its variants has a
// value.
type caution struct{ key, value, text string }

// cautions are for runs that carry no limits of their own.
func cautions() []caution {
	past := "Real servers have the VIPs themselves, listen on the Service's own port and answer clients past the node " +
		"over a link of their own; the node itself cannot dial its Services. All trials of this run have endpoints on the " +
		"Service's own port, so that forwarding methods can be compared."
	return []caution{
		{results.Testbed, "uml", "Testbed uml is a user-mode-linux guest with one CPU. Packet paths in its kernel run at " +
			"near-native speed, but system calls, page faults and process starts are several times slower: the times of tools " +
			"(iptables) and of the userspace proxy are inflated against native ones. Compare modes within this report, not " +
			"with numbers from other testbeds."},
		{results.Testbed, "native", "Testbed native shares the machine with whatever else runs there; kernel memory is " +
			"the whole machine's, so it is disturbed by others."},
		{"forward", "dr", "Direct routing (forward=dr): " + past},
		{"forward", "tunnel", "Tunnels (forward=tunnel): " + past},
		{"lookup", "rules", "lookup=rules is mode ipvs without ipsets: two rules a Service port and one an endpoint stand " +
			"for what a set has. It is there to show what ipsets spare."},
		{results.Mode, "userspace", "The userspace mode's rules are written by one iptables-restore, as in the other " +
			"modes; the real kube-proxy started one process for each rule."},
		{results.Mode, "ipvs", "The ipvs mode spreads VIPs over one dummy device for each 1024 Services; the real " +
			"kube-proxy has one device, whose address list the kernel walks at every change. It writes sets and servers in " +
			"batches over netlink; the real kube-proxy starts a process for each set entry."},
		{results.Mode, "iptables", "The iptables modes edit single rules of the dispatch chain; the real kube-proxy " +
			"writes that chain anew at each sync."},
		{results.Mode, "iptables-tree", "The tree of chains is edited rule by rule, as the dispatch chain of mode iptables is; " +
			"the real kube-proxy writes that chain anew at each sync."},
	}
}

// limits lists what the run's figures do not say.
func limits(run *results.Run, s *summary.Summary) []string {
	out := run.Limits()
	if len(out) == 0 {
		for _, c := range cautions() {
			for _, level := range s.Levels(c.key) {
				if level == c.value {
					out = append(out, c.text)
				}
			}
		}
	}
	return append(out, "Client, node and backend share the CPUs of one machine: throughput and connection rates are "+
		"those of the whole path, not of the node alone.")
}
