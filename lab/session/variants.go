package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
)

// variant is what is compared: a mode with arguments, and what holds for all modes.
type variant struct {
	mode     modes.Mode
	args     modes.Args
	family   modes.Family // empty for the default
	policies int
	packets  string // that cross the policy rules; empty if none are asked for
}

// id names the variant in IDs of trials.
func (v variant) id() string {
	words := []string{strings.ReplaceAll(v.mode.Name, "/", "-")}
	if len(v.args) > 0 {
		words = append(words, strings.Fields(v.args.String())...)
	}
	if v.packets != "" {
		words = append(words, fmt.Sprintf("p%d", v.policies))
	}
	if v.family != "" {
		words = append(words, string(v.family))
	}
	return strings.Join(words, "-")
}

// variants lists what is compared: modes by their arguments by policies by families.
func (c Config) variants(known catalog.Catalog) ([]variant, error) {
	var out []variant
	for _, f := range c.Families {
		family := modes.Family(f)
		if len(c.Families) == 1 && family == modes.IPv4 {
			family = "" // as always
		}
		for _, n := range c.Policies {
			packets := c.PolicyFor
			if slices.Equal(c.Policies, []int{0}) {
				packets = ""
			}
			for _, name := range c.Modes {
				m, err := known.Find(name)
				if err != nil {
					return nil, err
				}
				for _, a := range m.Product(c.params()) {
					out = append(out, variant{m, a, family, n, packets})
				}
			}
		}
	}
	return out, nil
}

// Asked lists the variants of modes whose testbed is to be found.
func (c Config) Asked(known catalog.Catalog) ([]trial.Variant, error) {
	all, err := c.variants(known)
	if err != nil {
		return nil, err
	}
	var out []trial.Variant
	for _, v := range all {
		one := trial.VariantOf(v.mode, v.args, v.family)
		if c.Script != nil {
			one.Sysctls = c.Script.Sysctls()
		}
		if !slices.ContainsFunc(out, one.Equal) {
			out = append(out, one)
		}
	}
	return out, nil
}

// Trials lists all trials, round by round; within a round guest by guest, in an order
// drawn from the seed, the sizes rise and the variants are in an order drawn from the seed, so that drift of the machine
// hits all alike.
func (c Config) Trials(known catalog.Catalog) ([]trial.Spec, error) {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	var out []trial.Spec
	for round := range c.Repeat {
		trials, err := c.round(known, round, rng)
		if err != nil {
			return nil, err
		}
		out = append(out, trials...)
	}
	return out, nil
}

// round lists the trials of one round.
func (c Config) round(known catalog.Catalog, round int, rng *rand.Rand) ([]trial.Spec, error) {
	guests := c.guests()
	all, err := c.variants(known)
	if err != nil {
		return nil, err
	}
	// Where one variant needs endpoints on the Service's own port, all trials have
	// them, so that they can be compared.
	samePort := slices.ContainsFunc(all, func(v variant) bool { return v.mode.TraitsOf(v.args).DirectServerReturn })
	plainDone := false
	var out []trial.Spec
	for _, k := range rng.Perm(len(guests)) {
		for _, n := range c.Services {
			for _, i := range rng.Perm(len(all)) {
				t := guests[k].of(c.trial(all[i], round, n, samePort))
				if all[i].mode.Baseline && !plainDone {
					t.Plan.Plain, plainDone = c.Plain, true
				}
				out = append(out, t)
			}
		}
	}
	return out, nil
}

// stepwiseTakes is about what it takes to install a Service by one call an object, some ten
// calls: more of many, but those come to the limit.
const stepwiseTakes = 30 * time.Millisecond

// install is about how long a variant takes to install Services by one call an object, within
// a limit, where it writes so.
func install(v variant, services int, limit time.Duration) time.Duration {
	p := modes.PartFor(v.mode.Make(v.args, modes.Machine{Family: v.family}), modes.IPv4)
	if s, ok := p.(modes.Stepwise); !ok || !s.Steps() {
		return 0
	}
	return min(time.Duration(services)*stepwiseTakes, limit)
}

// trial is one variant at one size in one round.
func (c Config) trial(v variant, round, services int, samePort bool) trial.Spec {
	t := trial.Spec{ID: fmt.Sprintf("%s-n%d-r%d", v.id(), services, round), Mode: v.mode.Name, Args: v.args, Round: round,
		Policies: v.policies, PolicyPackets: v.packets, Testbed: c.Testbed, Synth: c.synth(services, samePort), Plan: c.plan(services)}
	t.Synth.Family, t.Input = v.family, c.inputAt(services)
	traits := v.mode.TraitsOf(v.args)
	t.Syncs = time.Duration(services) * traits.ServiceTakes
	if c.SyncLimit > 0 {
		t.Syncs = min(t.Syncs, c.SyncLimit)
	}
	t.Syncs = t.Syncs*time.Duration(t.Plan.FullSyncs) + install(v, services, t.Plan.Install)
	if traits.SameState {
		// Only writing them differs.
		t.Plan.Packets, t.Plan.Connect, t.Plan.Iperf, t.Plan.Live, t.Plan.ChurnRate = 0, 0, 0, 0, 0
	}
	if v.mode.Baseline {
		t.Plan.ChurnRate = 0 // it has no Services that could change
	}
	return t
}
