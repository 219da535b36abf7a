package modetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/ipvs"
	"viplab/modes/kubeproxy"
	"viplab/modes/nftables"
	"viplab/modes/packet/dump"
	"viplab/modes/packet/story"
	"viplab/modes/snapshot/synth"
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

// TestPeersLeadAlike: for random Services the node's tools show of the real kube-proxy, and of
// the lab's mode of its structure, what leads any packet to the same end.
func TestPeersLeadAlike(t *testing.T) {
	built := kubeproxy.Built()
	if len(built) == 0 {
		t.Skip("the real kube-proxy is not built: make peers")
	}
	for _, v := range []struct {
		mode  modes.Mode
		args  modes.Args
		lacks modes.Limits
		tools [][]string
	}{
		{iptables.Mode(), nil, nil, iptablesDumps[:1]},
		// See peerOptions for internal policy Local.
		{ipvs.Mode(), nil, modes.Limits{modes.InternalLocal: "they differ"}, append([][]string{{"ipset", "save"}, {"ipvsadm", "-Sn"}}, iptablesDumps[:1]...)},
		{nftables.Mode(), modes.Args{nftables.LayoutParam: string(nftables.KubeProxy)}, nil, [][]string{{"nft", "-j", "list", "ruleset"}}},
	} {
		if inGuest := inside.Testbed() == testbed.UMLName; inGuest != slices.Contains(v.mode.Needs, "ip_vs") {
			continue // once is enough
		}
		t.Run(v.mode.Name, func(t *testing.T) {
			peers := kubeproxy.Modes()
			peer := peers[slices.IndexFunc(peers, func(m modes.Mode) bool { return m.PeerOf == v.mode.Name })]
			spec := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}
			ours, theirs := NewRig(t, v.mode, v.args, spec), NewRig(t, peer, nil, spec)
			at := topo.Of(modes.IPv4)
			maker := synth.Tangle{Rand: rand.New(rand.NewPCG(7, 5)), Node: []netip.Addr{at.Node.Addr(), at.ToClient.Addr()},
				Protocols: []modes.Protocol{modes.TCP, modes.UDP}, Lacks: v.lacks}
			for step := range 8 {
				s := maker.Snapshot()
				ours.Program(s)
				theirs.Program(s)
				leadAlike(t, s, ours.tools(v.tools), theirs.tools(v.tools))
				if t.Failed() {
					t.Fatalf("step %d: the node is %+v, and the Services\n%s", step, s.Node, describe(s))
				}
			}
		})
	}
}

// leadAlike follows packets through two dumps of what one Snapshot came to.
func leadAlike(t *testing.T, s modes.Snapshot, ours, theirs *dump.Dump) {
	t.Helper()
	node := dump.Node{Addrs: s.Node.Addrs}
	one, other := ours.Program(modes.IPv4, node), theirs.Program(modes.IPv4, node)
	for _, f := range frontsOf(s) {
		for _, flow := range []modes.Flow{
			{From: modes.FromClient, Proto: f.Proto, Dst: f.Addr},
			{From: modes.FromNode, Proto: f.Proto, Dst: f.Addr},
			{From: modes.FromClient, Proto: f.Proto, Dst: f.Addr, Src: netip.MustParseAddrPort("198.51.100.7:40000")},
		} {
			got, want := fateOf(one, flow), fateOf(other, flow)
			for _, fate := range []*story.Fate{&got, &want} {
				slices.SortFunc(fate.Endpoints, netip.Addr.Compare)
				fate.Endpoints = slices.Compact(fate.Endpoints)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s from %s: ours %+v, the real one %+v", flow, flow.Src, got, want)
			}
		}
	}
}
