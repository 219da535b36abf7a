package reproduce

import (
	"time"

	"viplab/lab/session"
	"viplab/modes/catalog"
)

// Experiment is a bench that one or more targets need.
type Experiment struct {
	Name   string
	About  string
	Config session.Config
}

// Names of experiments.
const (
	Curves   = "curves"
	Ports    = "ports"
	Policies = "policies"
	Appends  = "appends"
	Plain    = "plain"
	Reuse    = "reuse"
)

// Experiments lists them; quick ones are smaller, with too few rounds for
// intervals.
func Experiments(known catalog.Catalog, quick bool) []Experiment {
	sizes, rounds := []int{10, 1000, 5000, 10000, 20000, 30000}, 5
	if quick {
		sizes, rounds = []int{10, 1000, 5000}, 1
	}
	base := session.Default(known)
	base.Quick, base.Repeat, base.Services = quick, rounds, sizes
	if quick {
		base.Duration = 300 * time.Millisecond
	}
	curves, ports, policies, appends, plain, reuse := base, base, base, base, base, base
	reuse.Modes, reuse.Services, reuse.Endpoints, reuse.Reuse, reuse.Repeat = []string{"ipvs"}, []int{1}, 4, true, min(rounds, 3)
	curves.Modes = []string{"direct", "userspace", "iptables", "iptables-tree", "ipvs"}
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
	return []Experiment{
		{Curves, "all that grows with the number of Services: first packets, connections, syncs, memory, throughput", curves},
		{Ports, "throughput with four ports a Service, first and last", ports},
		{Policies, "throughput with rules that every packet crosses", policies},
		{Appends, "one rule more, and one rule a call", appends},
		{Reuse, "clients that reuse local ports against IPVS, under every setting that matters", reuse},
		{Plain, "iptables itself, with plain rules and without Services", plain},
	}
}
