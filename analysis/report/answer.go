package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"viplab/analysis/summary"
	"viplab/results"
)

// answer says in a few sentences what the data support, at the largest size.
// A difference is stated only where the intervals do not touch.
func answer(s *summary.Summary, series []summary.Series, sizes []int) []string {
	n := sizes[len(sizes)-1]
	var out []string
	for _, q := range []struct {
		what, metric string
		with         map[string]string
		less         bool // is less better?
	}{
		{"One Service added", results.SyncDelta, map[string]string{results.Change: "service-add"}, true},
		{"Programming all", results.SyncFull, nil, true},
		{"The first packet to the last Service", results.FirstPacket, map[string]string{results.Position: "last", results.Protocol: "tcp", results.From: "client"}, true},
		{"New connections", results.ConnectionsRate, nil, false},
		{"Bulk data through the last Service", results.Throughput, map[string]string{results.Position: "last"}, false},
	} {
		if text := rank(s, series, n, q.metric, q.with, q.less); text != "" {
			out = append(out, fmt.Sprintf("%s, at %d Services: %s.", q.what, n, text))
		}
	}
	return out
}

// verdict is the answer in two sentences: one on change, one on packets.
func verdict(s *summary.Summary, series []summary.Series, n int) string {
	change := rank(s, series, n, results.SyncDelta, map[string]string{results.Change: "service-add"}, true)
	packet := rank(s, series, n, results.FirstPacket, map[string]string{results.Position: "last", results.Protocol: "tcp", results.From: "client"}, true)
	var out []string
	if change != "" {
		out = append(out, fmt.Sprintf("At %d Services, for a Service that is added %s.", n, change))
	}
	if packet != "" {
		out = append(out, fmt.Sprintf("For the first packet of a connection to the last Service %s.", packet))
	}
	return strings.Join(out, " ")
}

// rank names the best and the worst mode and how far they are apart.
func rank(s *summary.Summary, series []summary.Series, n int, metric string, with map[string]string, less bool) string {
	var best, worst *summary.Cell
	var bm, wm string
	for _, one := range series {
		if one.Mode == "direct" {
			continue
		}
		c := s.One(metric, one.With(with, results.Services, strconv.Itoa(n)))
		if c == nil {
			continue
		}
		if best == nil || (c.Median < best.Median) == less {
			best, bm = c, one.Label
		}
		if worst == nil || (c.Median > worst.Median) == less {
			worst, wm = c, one.Label
		}
	}
	if best == nil || best == worst {
		return ""
	}
	ratio := worst.Median / best.Median
	if !less {
		ratio = 1 / ratio
	}
	text := fmt.Sprintf("%s is best with %s, %s worst with %s (%s times)", bm, best.Text(), wm, worst.Text(), summary.Number(ratio))
	if best.Interval && worst.Interval && best.Lo <= worst.Hi && worst.Lo <= best.Hi {
		text = fmt.Sprintf("no mode is better beyond doubt (%s %s, %s %s; their intervals overlap)", bm, best.Text(), wm, worst.Text())
	} else if !best.Interval || !worst.Interval {
		text += ", from too few samples for intervals"
	}
	return text
}

func method(s *summary.Summary) []string {
	return []string{
		"Every trial builds three network namespaces (client, node, backend), programs the whole Snapshot in the node, and proves before anything is timed that the first, middle, last and a random sample of Services are answered by right endpoints, that an address which is no VIP is not, and that the choice among endpoints is even (chi-square at level 1e-6). A mode that fails this is reported as failed and not timed.",
		"Modes are interleaved in random order within each round; warm-up packets are discarded; every raw sample is in samples.jsonl.",
		"Intervals are 95 % intervals by order statistics, with no assumption about the distribution: from six rounds on those of the median of the rounds' medians, since samples of one round resemble each other; below that, of all samples. Percentiles come from raw samples, p01 and p99 only from 100 or more, their intervals only where the sample reaches far enough.",
		"full sync: the whole Snapshot into an empty namespace until committed. add/delete: one change on top of N Services until committed. first packet: TCP connect (or UDP echo) of a flow that the node has no conntrack entry for. new connections: closed loop of connect, request, answer, close to random Services. iperf3: one TCP stream.",
		"Growth: exponents by least squares through the logarithms of the trials' medians from 1000 Services on; the cost of a Service before the packet's own by least squares through first, middle and last at all sizes, less the time of direct in the same round. It is measured in two ways that share neither hook nor clock readings: the round trip from the client (PREROUTING), and how long the system call lasts that sends a SYN from the node (OUTPUT), without its answer.",
		"Memory: the largest resident set of the proxy process or of the tool that wrote the rules; the kernel's as the growth of slab, per-CPU, vmalloc and page tables over the full sync.",
	}
}

func limits(run *results.Run, s *summary.Summary) []string {
	var out []string
	for _, tb := range s.Levels(results.Testbed) {
		switch tb {
		case "uml":
			out = append(out, "Testbed uml is a user-mode-linux guest with one CPU. Packet paths in its kernel run at near-native speed, but system calls, page faults and process starts are several times slower: the times of tools (iptables) and of the userspace proxy are inflated against native ones. Compare modes within this report, not with numbers from other testbeds.")
		case "native":
			out = append(out, "Testbed native shares the machine with whatever else runs there; kernel memory is the whole machine's, so it is disturbed by others.")
		}
	}
	for _, f := range s.Levels(results.Forward) {
		if f != "nat" {
			out = append(out, "With forwarding method "+f+" real servers have the VIPs themselves, listen on the Service's own port and answer clients past the node over a link of their own; the node itself cannot dial its Services. All trials of this run have endpoints on the Service's own port, so that the methods can be compared.")
			break
		}
	}
	if slices.Contains(s.Levels(results.Lookup), "rules") {
		out = append(out, "ipvs by rules is mode ipvs without ipsets: two rules a Service port and one an endpoint stand for what a set has. It is there to show what ipsets spare.")
	}
	return append(out,
		"Client, node and backend share the CPUs of one machine: throughput and connection rates are those of the whole path, not of the node alone.",
		"The userspace mode's rules are written by one iptables-restore, as in the other modes; the real kube-proxy started one process for each rule.",
		"The ipvs mode spreads VIPs over one dummy device for each 1024 Services; the real kube-proxy has one device, whose address list the kernel walks at every change. It writes sets and servers in batches over netlink; the real kube-proxy starts a process for each set entry.",
		"The iptables modes edit single rules of the dispatch chain; the real kube-proxy writes that chain anew at each sync.")
}
