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
func (r *run) policies(ctx context.Context) error {
	if r.Policies == 0 {
		return nil
	}
	r.step("%d policy rules", r.Policies)
	state := " -m conntrack --ctstate NEW"
	if r.PolicyPackets == PolicyAll {
		state = ""
	}
	return r.net.Node.Do(func() error {
		_, err := restoreFilter(ctx, func(w *bufio.Writer) {
			fmt.Fprintf(w, ":%s - [0:0]\n", policyChain)
			for i := range r.Policies {
				fmt.Fprintf(w, "-A %s -s %s -j DROP\n", policyChain, plainSource(i))
			}
			for _, hook := range []string{"INPUT", "FORWARD", "OUTPUT"} {
				fmt.Fprintf(w, "-I %s 1%s -j %s\n", hook, state, policyChain)
			}
		}, noFlush)
		return err
	})
}
