package trial

import (
	"bufio"
	"context"
	"fmt"
)

// policyChain holds the rules of a network policy that stand beside a mode's own.
const policyChain = "VIPLAB-POLICIES"

// Which packets cross the policy rules.
const (
	// PolicyNew: the first packet of each flow, as policies that let established
	// flows pass first do.
	PolicyNew = "new"
	// PolicyAll: every packet.
	PolicyAll = "all"
)

// PolicyPackets lists them, the default first.
func PolicyPackets() []string { return []string{PolicyNew, PolicyAll} }

// policies puts the plan's policy rules before those of the mode: none of them
// matches, so a packet crosses them all.
func (st *Stage) policies(ctx context.Context) error {
	if st.Policies == 0 {
		return nil
	}
	st.Step("policy rules: %d", st.Policies)
	state := " -m conntrack --ctstate NEW"
	if st.PolicyPackets == PolicyAll {
		state = ""
	}
	return st.Net.Node.Do(func() error {
		_, err := RestoreFilter(ctx, func(w *bufio.Writer) {
			fmt.Fprintf(w, ":%s - [0:0]\n", policyChain)
			for i := range st.Policies {
				fmt.Fprintf(w, "-A %s -s %s -j DROP\n", policyChain, PlainSource(i))
			}
			for _, hook := range []string{"INPUT", "FORWARD", "OUTPUT"} {
				fmt.Fprintf(w, "-I %s 1%s -j %s\n", hook, state, policyChain)
			}
		}, NoFlush)
		return err
	})
}
