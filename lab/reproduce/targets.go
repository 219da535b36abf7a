package reproduce

import (
	"fmt"

	"viplab/analysis/summary"
	"viplab/analysis/verdict"
	"viplab/modes"
	"viplab/results"
)

const (
	noOldHost = "needs a kernel of its time, of which there is none here; see simulate --what eras for what it would do"
	// forCilium is said wherever mode ebpf is set beside Cilium.
	forCilium = "mode ebpf (tc and sockets), which stands for Cilium here: its maps, without its policies, its overlay and its datapath between nodes"
)

// at makes the samples of a metric in a mode, by the number of Services.
func at(metric, mode string, scale float64, with ...string) func(*summary.Summary) []verdict.Sample {
	f := map[string]string{results.Mode: mode}
	for i := 0; i+1 < len(with); i += 2 {
		f[with[i]] = with[i+1]
	}
	return pick{metric: metric, with: f, x: results.Services, scale: scale}.samples
}

// plainAt makes the samples of a metric of plain rules, by their number.
func plainAt(metric string) func(*summary.Summary) []verdict.Sample {
	return pick{metric: metric, x: results.Rules, scale: 1}.samples
}

// Targets lists them all.
func Targets() []Target {
	return []Target{
		firstPackets(), addRule(), sequential(), shortConnections(), throughput(), positions(), memory(),
		reusedPorts(),
		restores(), jumps(), connectionCPU(), relative(),
		fullSyncs(), twoKernels(), shortRates(),
	}
}

func firstPackets() Target {
	t := Target{ID: "R1", XName: "Services", YUnit: "µs", LogY: true}
	for _, p := range []float64{1, 50, 90, 99} {
		name := fmt.Sprintf("p%02g", p)
		with := map[string]string{results.Mode: "iptables", results.Position: "random", results.Protocol: "tcp", results.From: "client"}
		t.Beside = append(t.Beside,
			Beside{Series: "iptables_" + name, Experiment: Curves, Mode: "iptables",
				What: name + " of TCP connect to random Services, from the client",
				Ours: pick{metric: results.FirstPacket, with: with, x: results.Services, percent: p, scale: 1e6}.samples},
			nftablesFirst(name, p, Curves, "count"), nftablesFirst(name, p, Layouts, "kube-proxy"))
	}
	return t
}

// nftablesFirst is a percentile of first packets of mode nftables, in one layout.
func nftablesFirst(name string, p float64, experiment, layout string) Beside {
	with := map[string]string{results.Mode: "nftables", "layout": layout, results.Position: "random", results.Protocol: "tcp", results.From: "client"}
	if layout == "count" {
		with["layout"] = "" // the default
	}
	return Beside{Series: "nftables_" + name, Experiment: experiment, Mode: "nftables",
		What: name + " of TCP connect to random Services, from the client, mode nftables, layout " + layout,
		Ours: pick{metric: results.FirstPacket, with: with, x: results.Services, percent: p, scale: 1e6}.samples}
}

func addRule() Target {
	eight := "of plain rules, eight a Service, summed from single appends on top of up to 50000 rules"
	return Target{ID: "R2", XName: "Services", YUnit: "s", LogY: true, Beside: []Beside{
		{Series: "iptables", What: "(a) one more rule: one iptables -A on top of N Services", Experiment: Appends, Mode: "iptables",
			Ours: at(results.RuleAppend, "iptables", 1, "sync", "append")},
		{Series: "iptables", What: "(b) one restore of all rules of N Services", Experiment: Curves, Mode: "iptables", Ours: at(results.SyncFull, "iptables", 1)},
		{Series: "iptables", What: "(c) all rules, one call each, " + eight, Experiment: Plain, Mode: "userspace", Ours: installed(8)},
		{Series: "iptables_seed", What: "one more rule on top of one Service", Experiment: Appends, Mode: "iptables",
			Ours: at(results.RuleAppend, "iptables", 1, "sync", "append")},
		{Series: "iptables_pr692", What: "one more rule on top of one Service", Experiment: Appends, Mode: "iptables",
			Ours: at(results.RuleAppend, "iptables", 1, "sync", "append")},
		{Series: "ipvs", What: "one more virtual server over netlink, on top of N Services", Experiment: Appends, Mode: "ipvs", Ours: at(results.RuleAppend, "ipvs", 1)},
	}}
}

func sequential() Target {
	return Target{ID: "R3", XName: "rules", YUnit: "s", LogY: true, Beside: []Beside{
		{Series: "trusty_healthy", What: "N plain rules by N calls of iptables -A", Experiment: Plain, Mode: "iptables", Ours: plainAt(results.PlainInstall)},
		{Series: "xenial44_patched", What: "N plain rules by N calls of iptables -A", Experiment: Plain, Mode: "iptables", Ours: plainAt(results.PlainInstall)},
		{Series: "xenial44_regressed", Cannot: noOldHost},
	}}
}

func shortConnections() Target {
	const cores = 4
	each := func(v float64) float64 { return 1e6 * cores / v }
	return Target{ID: "R4", XName: "Services", YUnit: "µs of CPU a connection", Beside: []Beside{
		{Series: "iptables", What: "CPU time of client, node and server together for a new connection, closed loop", Experiment: Curves, Mode: "iptables",
			Ours: at(results.ConnectionCPU, "iptables", 1e6), Theirs: each},
		{Series: "cilium_native", What: "the same of " + forCilium, Experiment: Curves, Mode: "ebpf", Ours: at(results.ConnectionCPU, "ebpf", 1e6), Theirs: each},
		{Series: "cilium_vxlan", Cannot: "the lab has no overlay network; see cilium_native"},
	}}
}

func throughput() Target {
	t := Target{ID: "R5", XName: "Services", YUnit: "Gbit/s"}
	for _, mode := range []string{"iptables", "ipvs"} {
		for _, pos := range []string{"first", "last"} {
			t.Beside = append(t.Beside, Beside{Series: mode + "_" + pos, Experiment: Ports, Mode: mode,
				What: "iperf3, one TCP stream, through the " + pos + " of N Services of four ports",
				Ours: at(results.Throughput, mode, 1e-9, results.Position, pos), NoLevel: "the published unit is not printed"})
		}
	}
	with := map[string]string{results.Mode: "iptables", results.Position: "last"}
	t.Beside = append(t.Beside, Beside{Series: "iptables_last", Experiment: Policies, Mode: "userspace",
		What: "iperf3 with that many rules, which every packet crosses, beside 10 Services (x: rules over four)",
		Ours: func(s *summary.Summary) []verdict.Sample {
			list := pick{metric: results.Throughput, with: with, x: results.Policies, absent: "0", scale: 1e-9}.samples(s)
			for i := range list {
				list[i].X = max(1, list[i].X/4)
			}
			return list
		}, NoLevel: "the published unit is not printed"})
	return t
}

func positions() Target {
	t := Target{ID: "R6", XName: "Services", YUnit: "µs", LogY: true}
	for _, pos := range []string{"first", "middle", "last"} {
		t.Beside = append(t.Beside, Beside{Series: "iptables_" + pos, Experiment: Curves, Mode: "iptables",
			What:   "TCP connect to the " + pos + " Service",
			Cannot: "the points are from memory, not published; ours are drawn beside them",
			Ours:   at(results.FirstPacket, "iptables", 1e6, results.Position, pos, results.Protocol, "tcp", results.From, "client")})
	}
	return t
}

func memory() Target {
	what := "peak resident set of the lab, which plans and writes the rules as the proxy does"
	return Target{ID: "R7", XName: "Services", YUnit: "MB", LogY: true, Beside: []Beside{
		{Series: "iptables_2018", What: what, Experiment: Curves, Mode: "iptables", Ours: at(results.LabPeakRSS, "iptables", 1e-6)},
		{Series: "ipvs_2018", What: what, Experiment: Curves, Mode: "ipvs", Ours: at(results.LabPeakRSS, "ipvs", 1e-6)},
		{Series: "kubeproxy_iptables_2026", What: what, Experiment: Curves, Mode: "iptables", Ours: at(results.LabPeakRSS, "iptables", 1e-6),
			Theirs: mebi},
		{Series: "kubeproxy_iptables_2026", What: "peak resident set of the real kube-proxy " + newRelease + ", mode iptables, 2 endpoints a Service (there 10 and 4)", Experiment: Peers,
			Mode: "kube-proxy/iptables", Ours: at(results.ProxyPeakRSS, "kube-proxy/iptables", 1e-6), Theirs: mebi},
	}}
}

// mebi turns MiB into MB.
func mebi(v float64) float64 { return v * 1.048576 }

func reusedPorts() Target {
	with := map[string]string{results.ReuseMode: "1", results.Expire: "1", results.VSConntrack: "1", results.Phase: "all servers"}
	ours := func(metric string, scale float64) func(*summary.Summary) []verdict.Sample {
		return bar(metric, with, scale)
	}
	connect := "connect from a port that was used before, conn_reuse_mode 1, vs.conntrack 1, on this kernel"
	return Target{ID: "R8", XName: "bar", YUnit: "ms, req/s or connects", Beside: []Beside{
		{Series: "mode1_pre5.9_connect_median", What: "median " + connect, Experiment: Reuse, Mode: "ipvs", Ours: ours(results.ReuseConnect, 1e3)},
		{Series: "mode1_pre5.9_connect_mean", What: "median " + connect, Experiment: Reuse, Mode: "ipvs", Ours: ours(results.ReuseConnect, 1e3)},
		{Series: "mode1_local_port_reuse", What: connect, Experiment: Reuse, Mode: "ipvs", Ours: ours(results.ReuseConnect, 1e3)},
		{Series: "mode1_pre5.9_slow_curls", What: "connects near one second of 100, from ports that were used before", Experiment: Reuse, Mode: "ipvs", Ours: ours(results.ReuseSlow, 100)},
		{Series: "mode1_pre5.9_ab_c300", What: "connections a second, one after another, from ports that were used before", Experiment: Reuse, Mode: "ipvs", Ours: ours(results.ReuseRate, 1)},
		{Series: "mode1_5.9rc2_ab_c1000", What: "connections a second, one after another, from ports that were used before", Experiment: Reuse, Mode: "ipvs", Ours: ours(results.ReuseRate, 1)},
		{Series: "mode1_pre5.9_connect_max", Cannot: "the longest of a run grows with its length, which is not published"},
	}}
}

func restores() Target {
	return Target{ID: "R9", XName: "Services or rules", YUnit: "s", LogY: true, Beside: []Beside{
		{Series: "iptables_restore_full_2016_i5600U", What: "full sync of 1000 Services", Experiment: Curves, Mode: "iptables", Ours: at(results.SyncFull, "iptables", 1)},
		{Series: "iptables_restore_full_2016_i4790", What: "full sync of 1000 Services", Experiment: Curves, Mode: "iptables", Ours: at(results.SyncFull, "iptables", 1)},
		{Series: "iptables_restore_plain_44", What: "one restore of N plain rules", Experiment: Plain, Mode: "iptables", Ours: plainAt(results.PlainRestore)},
		nftSync("nft_add_one_no_partial", "full sync into an empty table, which every sync wrote before partial syncs", results.SyncFull),
		nftSync("nft_add_one_partial", "one Service more", results.SyncDelta, results.Change, modes.ServiceAdd),
		nftSync("nft_full_sync", "full sync into an empty table, 2 endpoints a Service (there 1)", results.SyncFull),
		nftSync("nft_incremental_no_list", "one Service more", results.SyncDelta, results.Change, modes.ServiceAdd),
		{Series: "nft_full_sync_250k_endpoints", What: "full sync of 50 endpoints a Service into an empty table, kube-proxy " + oldRelease + ", kernel 6.1", Experiment: Kernels, Mode: "kube-proxy/nftables",
			Ours: at(results.SyncFull, "kube-proxy/nftables", 1, results.Kernel, "6.1")},
		{Series: "nft_list_table", Cannot: "the lab times no listing by itself: its own mode never lists the table, and kube-proxy's listing is part of a full sync"},
		{Series: "k8s5000_p50_full_min10s", Cannot: "the delay in a cluster of 5000 nodes, not of one node's rules"},
		{Series: "k8s5000_p50_partial_min10s", Cannot: "the delay in a cluster of 5000 nodes, not of one node's rules"},
		{Series: "k8s5000_p50_partial_min1s", Cannot: "the delay in a cluster of 5000 nodes, not of one node's rules"},
	}}
}

// nftSync sets syncs of kube-proxy's own mode nftables beside published ones of it.
func nftSync(series, what, metric string, with ...string) Beside {
	return Beside{Series: series, What: what + ", the real kube-proxy " + newRelease, Experiment: Peers, Mode: "kube-proxy/nftables",
		Ours: at(metric, "kube-proxy/nftables", 1, with...)}
}

func jumps() Target {
	what := "restore of 100001 chains and three jumps to each"
	return Target{ID: "R10", XName: "jumps", YUnit: "s", LogY: true, Beside: []Beside{
		{Series: "restore_before_fix", Cannot: noOldHost},
		{Series: "restore_after_fix", What: what, Cannot: "the published figure is from memory; ours is drawn beside it", Experiment: Plain, Mode: "iptables", Ours: plainAt(results.JumpRestore)},
		{Series: "restore_300k_chain_walk_before_validation", What: what, Experiment: Plain, Mode: "iptables", Ours: plainAt(results.JumpRestore)},
		{Series: "restore_300k_chain_walk_with_validation", What: what, Experiment: Plain, Mode: "iptables", Ours: plainAt(results.JumpRestore)},
		{Series: "200_iptables_calls_seqcount", What: "200 plain rules by 200 calls", Experiment: Plain, Mode: "iptables", Ours: plainAt(results.PlainInstall)},
		{Series: "200_iptables_calls_rcu", Cannot: noOldHost},
		{Series: "nft_restore_clean", Cannot: "the rules that were restored are not published"},
		{Series: "nft_restore_after_failed_txn", Cannot: "the rules are not published, and the fault (a failed transaction's state, which the next one kept) is mended in the kernels at hand"},
	}}
}

func connectionCPU() Target {
	// 1000 connections a second, in per cent of a core.
	const percent = 1000 * 100
	what := "CPU time of a connection to a random Service, less that of direct, times 1000 a second"
	return Target{ID: "R11", XName: "Services", YUnit: "% of a core at 1000 connections/s", Beside: []Beside{
		{Series: "iptables", What: what, Experiment: Curves, Mode: "iptables", Ours: less(results.ConnectionCPU, "iptables", percent)},
		{Series: "ipvs", What: what, Experiment: Curves, Mode: "ipvs", Ours: less(results.ConnectionCPU, "ipvs", percent)},
		{Series: "iptables_keepalive100", Cannot: "the lab has no client that keeps connections for 100 requests; throughput (R5) shows that established flows do not pay"},
	}}
}

func relative() Target {
	last := map[string]string{results.Position: "last"}
	return Target{ID: "R12", XName: "bar", YUnit: "% of direct", Beside: []Beside{
		{Series: "userspace_go", What: "iperf3 through the proxy over iperf3 without, at 10 Services", Experiment: Curves, Mode: "userspace", Ours: smallest(share(results.Throughput, "userspace", last, 100))},
		{Series: "iptables", Point: "throughput", What: "iperf3 through iptables over iperf3 without, at 10 Services", Experiment: Curves, Mode: "iptables", Ours: smallest(share(results.Throughput, "iptables", last, 100))},
		{Series: "tc_ebpf", What: "new connections a second in % of those of iptables, at 10 Services: " + forCilium + " (there packets of a generator, in % of their iptables; here BPF is interpreted in the guest)",
			Experiment: Curves, Mode: "ebpf", Ours: smallest(ratio(results.ConnectionsRate, of("ebpf"), of("iptables"), 100)), Theirs: func(v float64) float64 { return 100 * v / ciliumIptables }},
		{Series: "xdp", Cannot: "the lab's mode ebpf runs at tc and at sockets, not in drivers"},
		{Series: "ipvs_bpf_vs_ipvs_nodeport", Cannot: "needs a patched kernel"}, {Series: "ipvs_bpf_vs_ipvs_clusterip", Cannot: "needs a patched kernel"},
	}}
}

// ciliumIptables is the published north-south rate of iptables, in million a second, that
// those of eBPF stand beside.
const ciliumIptables = 2.1

// of selects a mode.
func of(mode string) map[string]string { return map[string]string{results.Mode: mode} }

// smallest leaves the sample of the smallest size, as a bar without an x.
func smallest(f func(*summary.Summary) []verdict.Sample) func(*summary.Summary) []verdict.Sample {
	return func(s *summary.Summary) []verdict.Sample {
		list := f(s)
		if len(list) == 0 {
			return nil
		}
		list[0].X = 0
		return list[:1]
	}
}

// bar makes one sample without an x of the only cell of a metric.
func bar(metric string, with map[string]string, scale float64) func(*summary.Summary) []verdict.Sample {
	return func(s *summary.Summary) []verdict.Sample {
		c := s.Only(metric, with)
		if c == nil {
			return nil
		}
		one := verdict.Sample{Y: c.Median * scale, Lo: c.Median * scale, Hi: c.Median * scale}
		if c.Interval {
			one.Lo, one.Hi = c.Lo*scale, c.Hi*scale
		}
		return []verdict.Sample{one}
	}
}
