package reproduce

import (
	"maps"
	"time"

	"viplab/lab/session"
	"viplab/modes/catalog"
	"viplab/modes/ipvs"
)

// Experiment is a bench that one or more targets need. Its configuration has a time at
// which it ends, whatever is left.
type Experiment struct {
	Name   string
	About  string
	Config session.Config
}

// About how long an experiment may take: as it is, and the quick one.
const (
	atMost      = time.Hour
	atMostQuick = 5 * time.Minute
)

// Names of experiments.
const (
	Curves   = "curves"
	Ports    = "ports"
	Policies = "policies"
	Appends  = "appends"
	Plain    = "plain"
	Reuse    = "reuse"
	Layouts  = "layouts"
	Peers    = "peers"
	Kernels  = "kernels"
)

// KernelsCompared are those of guests that experiment [Kernels] compares, as `viplab
// kernel build` names them: Debian's of the versions that were published.
func KernelsCompared() []string { return []string{"6.1", "6.12"} }

// Experiments lists them; quick ones are smaller, with too few rounds for
// intervals.
func Experiments(known catalog.Catalog, quick bool) []Experiment {
	sizes, rounds := []int{10, 1000, 5000, 10000, 20000, 30000}, 5
	base := session.Default(known)
	base.MaxTime = atMost
	if quick {
		sizes, rounds = []int{10, 1000, 5000}, 1
		base.Duration, base.MaxTime = 300*time.Millisecond, atMostQuick
	}
	base.Quick, base.Repeat, base.Services = quick, rounds, sizes
	curves, ports, policies, appends, plain, reuse := base, base, base, base, base, base
	reuse.Modes, reuse.Services, reuse.Endpoints, reuse.Reuse, reuse.Repeat = []string{"ipvs"}, []int{1}, 4, true, min(rounds, 3)
	curves.Modes = []string{"direct", "userspace", "iptables", "iptables-tree", "ipvs", "nftables", "ebpf"}
	ports.Modes, ports.Ports = []string{"direct", "iptables", "ipvs"}, 4
	ports.Services = []int{1, 1000, 5000, 10000}
	policies.Modes, policies.Services = []string{"direct", "iptables"}, []int{10}
	policies.Policies, policies.PolicyFor = []int{0, 1000, 10000, 100000}, "all"
	appends.Modes, appends.Services, appends.Params = []string{"iptables", "ipvs"}, []int{1, 1000, 5000, 20000}, map[string]session.Values{"sync": {"append"}}
	appends.Limit, appends.Repeat = 10*time.Second, min(rounds, 3)
	plain.Modes, plain.Services, plain.Repeat = []string{"direct"}, []int{1}, min(rounds, 3)
	plain.Plain, plain.Limit = []int{100, 200, 1000, 2000, 3000, 10000, 50000}, 20*time.Second
	ports.Repeat, policies.Repeat = min(rounds, 3), min(rounds, 3)
	if quick {
		ports.Services, policies.Policies = []int{1, 1000}, []int{0, 10000}
		appends.Services, appends.Limit = []int{1, 1000, 5000}, 3*time.Second
		plain.Plain, plain.Limit = []int{100, 200, 1000, 10000}, 5*time.Second
	}
	// What was published of IPVS was measured with VIPs as addresses, as kube-proxy has them.
	for _, c := range []*session.Config{&curves, &ports, &appends, &reuse} {
		params := map[string]session.Values{ipvs.BindParam: {ipvs.BindAddress}}
		maps.Copy(params, c.Params)
		c.Params = params
	}
	return append([]Experiment{
		{Curves, "all that grows with the number of Services: first packets, connections, syncs, memory, throughput", curves},
		{Ports, "throughput with four ports a Service, first and last", ports},
		{Policies, "throughput with rules that every packet crosses", policies},
		{Appends, "one rule more, and one rule a call", appends},
		{Reuse, "clients that reuse local ports against IPVS, under every setting that matters", reuse},
		{Plain, "iptables itself, with plain rules and without Services", plain},
	}, syncs(base)...)
}

// syncs are the experiments about what nf_tables takes to be programmed. Its layout
// kube-proxy grows with the square of the number of Services, so they are smaller.
func syncs(base session.Config) []Experiment {
	layouts, peers, kernels := base, base, base
	layouts.Services, layouts.Repeat = []int{500, 1000, 2000, 5000, 10000}, min(base.Repeat, 3)
	layouts.SyncLimit = 5 * time.Minute
	if base.Quick {
		layouts.Services, layouts.SyncLimit = []int{500, 1000, 2000, 5000}, time.Minute
	}
	peers.Services, peers.Repeat, peers.SyncLimit = layouts.Services, layouts.Repeat, layouts.SyncLimit
	if base.Quick {
		peers.Services = []int{500, 2000, 10000} // of which the last was published
	}
	layouts.Modes = []string{"nftables"}
	layouts.Params = map[string]session.Values{"layout": {"count", "shared", "direct", "kube-proxy"}}
	peers.Modes = []string{"direct", "kube-proxy/iptables", "kube-proxy/nftables"}

	kernels.Modes, kernels.Params = []string{"kube-proxy/nftables"}, map[string]session.Values{"kubernetes": {oldRelease}}
	kernels.Services, kernels.Endpoints, kernels.Kernels = []int{20, 50, 100, 200}, 50, KernelsCompared()
	kernels.Repeat, kernels.SyncLimit = layouts.Repeat, layouts.SyncLimit
	if base.Quick {
		kernels.Services = []int{20, 50}
	}
	return []Experiment{
		{Layouts, "the layouts of mode nftables", layouts},
		{Peers, "the real kube-proxy's modes iptables and nftables", peers},
		{Kernels, "the real kube-proxy of Kubernetes " + oldRelease + ", which has a chain for each endpoint, in mode nftables on two kernels, 50 endpoints a Service", kernels},
	}
}

// Releases of Kubernetes whose kube-proxy is measured: oldRelease has a chain for each
// endpoint in mode nftables.
const newRelease, oldRelease = "1.37.2", "1.34.4"
