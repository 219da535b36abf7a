package results

import (
	"maps"
	"slices"
	"strings"
)

// Keys of a [Variant] that are not parameters of a mode.
const (
	Mode      = "mode"
	Testbed   = "testbed"
	Kernel    = "kernel" // of the guest; absent for the testbed's usual one
	CPUs      = "cpus"   // of the guest; absent for one
	Endpoints = "endpoints"
	Ports     = "ports"
	Family    = "family"         // of Services: ipv6, dual; absent for ipv4
	Policies  = "policies"       // filter rules that packets cross beside the mode's; absent for none
	Packets   = "policy-packets" // which packets cross them: all; absent for new ones only
	Weights   = "weights"        // of endpoints, in turn: "1:3"; absent for 1 each
	Affinity  = "affinity"       // of Services, a duration; absent for none
	Input     = "input"          // where the Services came from; absent for synthetic ones
	RunName   = "run"            // of several runs in one report
)

// UsualKernel is the guest's if nothing is said of it: the one that Debian packages.
const UsualKernel = "debian"

// Variant is what a report sets side by side: a mode with its arguments, and what the
// whole trial was under. Its keys are those above and the names of the mode's
// parameters. What has its default is absent, so two variants are the same if and
// only if they have the same keys and values.
type Variant map[string]string

// KernelName is the name of the guest's kernel.
func (v Variant) KernelName() string {
	if k := v[Kernel]; k != "" {
		return k
	}
	return UsualKernel
}

// Mode is the name of the variant's mode, empty for what is of no mode.
func (v Variant) Mode() string { return v[Mode] }

// Key is the variant's canonical name: "mode=ipvs/scheduler=sh/testbed=uml", with the
// keys in order.
func (v Variant) Key() string { return strings.TrimPrefix(pairs("/", v), "/") }

// Has tells whether the variant has all of some keys and values.
func (v Variant) Has(all map[string]string) bool {
	for k, want := range all {
		if v[k] != want {
			return false
		}
	}
	return true
}

// Label is the mode's name with what sets the variant apart from the others of a run,
// "ipvs scheduler=sh". What all of them share is not in it, nor is what has its
// default.
func (v Variant) Label(among []Variant) string {
	label := v.Mode()
	for _, k := range slices.Sorted(maps.Keys(v)) {
		if k != Mode && slices.ContainsFunc(among, func(o Variant) bool { return o[k] != v[k] }) {
			label += " " + k + "=" + v[k]
		}
	}
	return label
}

// Shared is what all of some variants have in common.
func Shared(among []Variant) Variant {
	if len(among) == 0 {
		return nil
	}
	out := maps.Clone(among[0])
	maps.DeleteFunc(out, func(k, v string) bool {
		return slices.ContainsFunc(among, func(o Variant) bool { return o[k] != v })
	})
	return out
}
