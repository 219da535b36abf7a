package reproduce

import (
	"slices"

	"viplab/analysis/summary"
	"viplab/analysis/verdict"
	"viplab/results"
)

// fullSyncs is what kube-proxy's mode nftables takes to program everything, beside its
// mode iptables, and beside the layouts that were proposed against it.
func fullSyncs() Target {
	const nft, ipt = "kube-proxy/nftables", "kube-proxy/iptables"
	first := "full sync into an empty table (there the first after a restart), the real kube-proxy " + newRelease
	t := Target{ID: "R13", XName: "Services", YUnit: "s", LogY: true, Beside: []Beside{
		{Series: "nftables_restart", What: first, Experiment: Peers, Mode: nft, Ours: at(results.SyncFull, nft, 1)},
		{Series: "iptables_restart", What: first, Experiment: Peers, Mode: ipt, Ours: at(results.SyncFull, ipt, 1)},
		{Series: "nftables_over_iptables", What: "ratio of the two in one run", Experiment: Peers, Mode: nft, Ours: ratio(results.SyncFull, of(nft), of(ipt), 1)},
		{Series: "nftables_full_6.12", What: first, Experiment: Peers, Mode: nft, Ours: at(results.SyncFull, nft, 1)},
	}}
	for _, layout := range []string{"kube-proxy", "direct", "shared", "count"} {
		value := layout
		if layout == "count" {
			value = "" // the default
		}
		t.Beside = append(t.Beside, Beside{Series: "nftables_full_6.12", Experiment: Layouts, Mode: "nftables",
			What: "the same Services in mode nftables, layout " + layout + ": what the layout changes", Ours: at(results.SyncFull, "nftables", 1, "layout", value)})
	}
	return t
}

// twoKernels is the same full sync on two kernels. Ratios of one machine are compared;
// times of one kernel where the guest's kernel has that name.
func twoKernels() Target {
	const nft = "kube-proxy/nftables"
	what := "full sync of 50 endpoints a Service, the real kube-proxy " + oldRelease
	t := Target{ID: "R14", XName: "Services", YUnit: "s", LogY: true}
	for _, k := range KernelsCompared() {
		t.Beside = append(t.Beside, Beside{Series: "kernel_" + k, What: what + ", kernel " + k, Experiment: Kernels, Mode: nft,
			Ours: at(results.SyncFull, nft, 1, results.Kernel, k)})
	}
	t.Beside = append(t.Beside, Beside{Series: "kernel_6.1_over_6.12", Experiment: Kernels, Mode: nft,
		What: what + ", its time on the first kernel over that on the last one (which are 6.1 and 6.12 unless --kernel says otherwise), at the largest size that both finished (x: as published)",
		Ours: func(s *summary.Summary) []verdict.Sample {
			kernels := kernelsAsked(s, nft)
			if len(kernels) < 2 {
				return nil
			}
			on := func(k string) map[string]string { return summary.With(of(nft), results.Kernel, k) }
			list := ratio(results.SyncFull, on(kernels[0]), on(kernels[len(kernels)-1]), 1)(s)
			if len(list) == 0 {
				return nil
			}
			last := list[len(list)-1]
			last.X = publishedAt
			return []verdict.Sample{last}
		}})
	return t
}

// kernelsAsked lists the guest's kernels that a mode was to be measured on, in the order in
// which they were asked for, as variants have them: "" is the usual one. Records are no guide
// to it, since each round goes through the kernels in an order of its own.
func kernelsAsked(s *summary.Summary, mode string) (out []string) {
	for _, v := range s.Asked() {
		if k := v[results.Kernel]; v.Mode() == mode && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// publishedAt is the number of Services of the published full sync on two kernels.
const publishedAt = 5006

// shortRates is the rate of short connections by the number of Services, and where
// iptables falls behind eBPF.
func shortRates() Target {
	over := ratio(results.ConnectionsRate, of("iptables"), of("ebpf"), 1)
	const closed = "new connections a second, closed loop of four clients (there 64 on four CPUs), to random Services, "
	const cpus = "there four CPUs were saturated, here it is one or two; see R4 for the cost of a connection"
	cross := func(series string) Beside {
		return Beside{Series: series, Experiment: Curves, Mode: "ebpf", Ours: crossing(over), None: "iptables is behind from the smallest size on",
			What: "the number of Services from which on iptables makes fewer new connections a second than " + forCilium}
	}
	return Target{ID: "R15", XName: "Services", YUnit: "connections/s, ratio or Services", LogY: true, Beside: []Beside{
		{Series: "iptables", What: closed + "mode iptables", Experiment: Curves, Mode: "iptables", Ours: at(results.ConnectionsRate, "iptables", 1), NoLevel: cpus},
		{Series: "cilium_native", What: closed + forCilium, Experiment: Curves, Mode: "ebpf", Ours: at(results.ConnectionsRate, "ebpf", 1), NoLevel: cpus},
		{Series: "iptables_over_native", What: "ratio of the two in one run", Experiment: Curves, Mode: "userspace", Ours: over},
		cross("crossing_native"), cross("crossing_vxlan"),
	}}
}
