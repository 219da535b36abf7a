package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
	"viplab/modes/ipvs"
	"viplab/modes/synth"
)

func (c Config) synth(services int) synth.Spec {
	// Where one forwarding method needs endpoints on the Service's own port, all
	// trials have them, so that they can be compared.
	past := slices.ContainsFunc(c.Forwards, func(f string) bool { return f != ipvs.NAT })
	return synth.Spec{Services: services, Endpoints: c.Endpoints, Ports: c.Ports, Seed: c.Seed, SamePort: past, Weights: c.Weights, Affinity: c.Affinity}
}

// Trials lists all trials, round by round; within a round the sizes rise and
// the modes are in an order drawn from the seed, so that drift of the machine
// hits all modes alike.
func (c Config) Trials() []trial.Spec {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	variants := c.withFamilies(c.withPolicies(c.variants()))
	var out []trial.Spec
	for round := range c.Rounds {
		for _, n := range c.Services {
			for _, i := range rng.Perm(len(variants)) {
				t := variants[i]
				t.ID = fmt.Sprintf("%s-n%d-r%d", t.ID, n, round)
				family := t.Synth.Family
				t.Round, t.Synth, t.Fanout, t.Testbed = round, c.synth(n), c.Fanout, c.Testbed
				t.Synth.Family = family
				t.Plan = c.plan(n)
				if t.Mode == catalog.Direct && t.Policies == c.Policies[0] && n == c.Services[0] {
					t.Plan.Plain = c.Plain
				}
				if t.Sync != "" && t.Sync != string(iptables.Partial) {
					// The rules are the same: only writing them differs.
					t.Plan.Packets, t.Plan.Connect, t.Plan.Iperf, t.Plan.Live, t.Plan.ChurnRate = 0, 0, 0, 0, 0
				}
				out = append(out, t)
			}
		}
	}
	return out
}

// withPolicies repeats variants for each number of policy rules, if there are any.
func (c Config) withPolicies(variants []trial.Spec) []trial.Spec {
	if slices.Equal(c.Policies, []int{0}) {
		return variants
	}
	var out []trial.Spec
	for _, n := range c.Policies {
		for _, v := range variants {
			v.ID = fmt.Sprintf("%s-p%d", v.ID, n)
			v.Policies, v.PolicyPackets = n, c.PolicyFor
			out = append(out, v)
		}
	}
	return out
}

// withFamilies repeats variants for each address family, if there is another than
// IPv4.
func (c Config) withFamilies(variants []trial.Spec) []trial.Spec {
	if slices.Equal(c.Families, []string{string(modes.IPv4)}) {
		return variants
	}
	var out []trial.Spec
	for _, f := range c.Families {
		for _, v := range variants {
			v.ID += "-" + f
			v.Synth.Family = modes.Family(f)
			out = append(out, v)
		}
	}
	return out
}

// unlessOne is a value of a list, or nothing if the list is the default alone:
// then the factor is not recorded.
func unlessOne(v string, list, defaults []string) string {
	if slices.Equal(list, defaults[:1]) {
		return ""
	}
	return v
}

// tracking lists whether conntrack tracks connections of mode ipvs, kube-proxy's way
// first.
func tracking() []string { return []string{trial.Tracked, trial.Untracked} }

// Needs lists what the trials need of a testbed beside their modes.
func (c Config) Needs() []trial.Need {
	need := trial.Need{Tunnel: slices.Contains(c.Forwards, ipvs.Tunnel)}
	if len(c.Families) > 0 && !slices.Equal(c.Families, []string{string(modes.IPv4)}) {
		need.Family = modes.Dual
	}
	var out []trial.Need
	for _, b := range c.Backends {
		need.Backend = b
		out = append(out, need)
	}
	return out
}

// ipvsVariants lists the combinations of mode ipvs's parameters.
func (c Config) ipvsVariants() []trial.Spec {
	var out []trial.Spec
	for _, b := range c.Binds {
		for _, s := range c.Scheds {
			for _, f := range c.Forwards {
				for _, l := range c.Lookups {
					for _, t := range c.Tracking {
						v := trial.Spec{Mode: "ipvs", Bind: b, Scheduler: s, Conntrack: unlessOne(t, c.Tracking, tracking()),
							Forward: unlessOne(f, c.Forwards, ipvs.Forwards()), Lookup: unlessOne(l, c.Lookups, ipvs.Lookups())}
						v.ID = strings.TrimRight(strings.Join([]string{"ipvs", b, s, v.Forward, v.Lookup, v.Conntrack}, "-"), "-")
						out = append(out, v)
					}
				}
			}
		}
	}
	return out
}

// variants lists the modes, the iptables modes once for each strategy and
// backend.
func (c Config) variants() []trial.Spec {
	var out []trial.Spec
	for _, name := range c.Modes {
		if name == "ipvs" {
			out = append(out, c.ipvsVariants()...)
			continue
		}
		if mode, err := catalog.Find(name); err != nil || !mode.Iptables {
			out = append(out, trial.Spec{ID: name, Mode: name})
			continue
		}
		for _, b := range c.Backends {
			for _, s := range c.Sync {
				out = append(out, trial.Spec{ID: name + "-" + b + "-" + s, Mode: name, Sync: s, Backend: b})
			}
		}
	}
	return out
}
