package modetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"viplab/modes"
	"viplab/modes/kubeproxy"
)

// TestPeers: the real kube-proxy passes the suite of the lab's own modes.
func TestPeers(t *testing.T) {
	built := kubeproxy.Built()
	if len(built) == 0 {
		fmt.Println("SKIPPED: conformance of the real kube-proxy: it is not built: make peers")
		t.Skip("the real kube-proxy is not built: make peers")
	}
	if testing.Short() {
		fmt.Println("SKIPPED: all but forwarding of the real kube-proxy, which takes half an hour: make test-peers")
		built = built[:1]
	}
	for _, m := range kubeproxy.Modes() {
		for _, release := range built {
			t.Run(m.Name+"/"+release, func(t *testing.T) {
				// The suite takes a mode with its defaults.
				i := slices.IndexFunc(m.Params, func(p modes.Param) bool { return p.Name == kubeproxy.ReleaseParam })
				one := m
				one.Params = slices.Clone(m.Params)
				one.Params[i].Default = release
				inner := m.New
				one.New = func(a modes.Args, machine modes.Machine) modes.Proxier {
					return inner(modes.Args{kubeproxy.ReleaseParam: release}, machine)
				}
				if testing.Short() {
					forwarding(t, one)
					return
				}
				Run(t, one, peerOptions(m.Name, release))
			})
		}
	}
}

// peerOptions says what is different about kube-proxy.
func peerOptions(mode, release string) Options {
	// Real servers are let go gently, and chains are deleted a while after.
	o := Options{HistoryShows: true, Differs: map[string]string{
		EarlyNodePort: "kube-proxy deletes conntrack entries of node ports that endpoints left, not of those that are new",
	}}
	if mode == "kube-proxy/nftables" && release >= "1.36" || mode == "kube-proxy/ipvs" {
		for _, story := range hairpins() {
			o.Differs[story] = "only endpoints on the node are masqueraded for themselves, and the lab's are behind a link"
		}
	}
	if mode == "kube-proxy/ipvs" {
		o.AffinityLingers = 75 * time.Second // as in the lab's own mode
		for _, story := range []string{
			"33-internal-far.txt: nobody is on the node", "33-internal-far.txt: by UDP", "33-internal-far.txt: from the node",
			"9-internal.txt: without one on the node there is nobody",
		} {
			o.Differs[story] = "a virtual server for internal policy Local has no real servers then, where ours has those of other nodes"
		}
		for _, story := range []string{"34-sources-node.txt: the node is in them", "5-sources.txt: the node is a source like others"} {
			o.Differs[story] = "the node's own packets to a balancer's address are dropped although the ranges have the node"
		}
	}
	return o
}

// hairpins are the stories of endpoints that reach themselves.
func hairpins() []string {
	return []string{
		"1-clusterip.txt: an endpoint reaches itself",
		"1-clusterip.txt: an endpoint reaches itself by the second port",
		"12-ports.txt: one of two servers reaches itself",
		"2-masquerade.txt: an endpoint reaches itself through the node",
		"30-shared.txt: a pod reaches itself by either",
		"30-shared.txt: by the other port too",
		"32-no-cluster-range.txt: an endpoint reaches itself",
		"45-local-inside.txt: an endpoint reaches itself",
		"7-ipv6.txt: an endpoint reaches itself over IPv6",
		"8-sctp.txt: an endpoint reaches itself by SCTP",
	}
}
