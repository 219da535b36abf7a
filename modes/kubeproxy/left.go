package kubeproxy

import (
	"context"
	"errors"
	"strings"

	"viplab/modes"
)

// kubeletChain is the chain of the kubelet's that kube-proxy makes too (KUBE-FIREWALL in
// pkg/proxy/iptables of Kubernetes), and that --cleanup leaves to it.
const kubeletChain = "KUBE-FIREWALL"

// sets6 is what the names of kube-proxy's ipsets of IPv6 begin with. Its --cleanup
// destroys those of IPv4 alone (cleanupLeftovers in pkg/proxy/ipvs of Kubernetes 1.37).
const sets6 = "KUBE-6-"

// removeLeft removes what kube-proxy leaves, since nobody else in the lab would.
func (p *Proxier) removeLeft() error {
	switch {
	case p.Args["mode"] == "iptables":
		return p.removeFirewall()
	case p.Args["mode"] == "ipvs" && p.Family == modes.IPv6:
		return removeSets()
	}
	return nil
}

// removeFirewall removes the kubelet's chain, if it is there.
func (p *Proxier) removeFirewall() error {
	tool := "iptables-" + p.backend
	if p.Family == modes.IPv6 {
		tool = "ip6tables-" + p.backend
	}
	run := func(args ...string) error {
		_, _, err := modes.Exec{}.Run(context.Background(), nil, tool, append([]string{"-w", "-t", "filter"}, args...)...)
		return err
	}
	if run("-n", "-L", kubeletChain) != nil {
		return nil // it is not there
	}
	for _, hook := range []string{"INPUT", "OUTPUT"} {
		if err := run("-D", hook, "-j", kubeletChain); err != nil {
			return err
		}
	}
	return errors.Join(run("-F", kubeletChain), run("-X", kubeletChain))
}

// removeSets destroys the ipsets of IPv6.
func removeSets() error {
	run := func(args ...string) (string, error) {
		out, _, err := modes.Exec{}.Run(context.Background(), nil, "ipset", args...)
		return string(out), err
	}
	names, err := run("list", "-n")
	for name := range strings.FieldsSeq(names) {
		if strings.HasPrefix(name, sets6) && err == nil {
			_, err = run("destroy", name)
		}
	}
	return err
}
