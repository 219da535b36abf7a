package kubeproxy

import (
	"context"
	"time"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/ipvs"
	"viplab/modes/nftables"
)

// ReleaseParam is the name of the parameter that says of which release of Kubernetes the
// kube-proxy is.
const ReleaseParam = "kubernetes"

// Releases lists those that `make peers` builds, the default first. Each is the version of
// k8s.io/kubernetes in the go.mod of a module beside this package.
func Releases() []string { return []string{"1.37.2", "1.34.4"} }

// peer is one of kube-proxy's modes.
type peer struct {
	of       modes.Mode // the lab's own
	summary  string
	limits   modes.Limits
	backend  bool // whether its iptables backend can be chosen
	realRoot bool // whether its tool needs the host's root, with each backend
	// serviceTakes is for forecasts, see [modes.Traits].
	serviceTakes time.Duration
	// check is what the lab's own mode, with that backend, needs of the kernel, which is the
	// same.
	check func(f modes.Family, backend string) modes.Proxier
	// show is the command that shows what the kernel holds, by family.
	show map[modes.Family][]string
}

// Modes lists kube-proxy's modes.
func Modes() []modes.Mode {
	note := ""
	if len(Built()) == 0 {
		note = " (available after make peers)"
	}
	var out []modes.Mode
	for _, p := range peers() {
		m := p.mode()
		m.Summary += note
		out = append(out, m)
	}
	return out
}

func peers() []peer {
	saves := map[modes.Family][]string{modes.IPv4: {"iptables-legacy-save", "-t", "nat"}, modes.IPv6: {"ip6tables-legacy-save", "-t", "nat"}}
	return []peer{
		{
			of: iptables.Mode(), summary: "the real kube-proxy, mode iptables", limits: iptables.Limits(), backend: true, show: saves,
			check: func(f modes.Family, backend string) modes.Proxier {
				return iptables.New(nil, iptables.Restorer{Family: f, Backend: backend})
			},
		},
		{
			of: ipvs.Mode(), summary: "the real kube-proxy, mode ipvs, scheduler rr", show: saves,
			serviceTakes: 30 * time.Millisecond, // a tool for each entry of a set
			limits: modes.Limits{
				modes.LocalhostPorts:     ipvs.Limits()[modes.LocalhostPorts],
				modes.SchedulerChoice:    "kube-proxy gives all endpoints the weight 1",
				modes.DirectServerReturn: "kube-proxy's forwarding method is masquerading",
			},
			check: func(f modes.Family, _ string) modes.Proxier { return ipvs.New(ipvs.OptionsFor(nil, f)) },
		},
		{
			of: nftables.Mode(), summary: "the real kube-proxy, mode nftables", limits: nftables.Limits(), realRoot: true,
			serviceTakes: 2 * time.Millisecond, // less of few and more of many
			show:         map[modes.Family][]string{modes.IPv4: {"nft", "list", "ruleset", "ip"}, modes.IPv6: {"nft", "list", "ruleset", "ip6"}},
			check: func(f modes.Family, _ string) modes.Proxier {
				return nftables.New(nftables.Options{Layout: nftables.KubeProxy, Apply: nftables.Tool, Family: f})
			},
		},
	}
}

// mode is the peer as a value.
func (p peer) mode() modes.Mode {
	params := []modes.Param{{Name: ReleaseParam, Help: "release of Kubernetes that the real kube-proxy is of", Values: Releases(), Default: Releases()[0]}}
	if backend, ok := p.of.Param(iptables.BackendParam); ok && p.backend {
		params = append(params, backend)
	}
	m := modes.Mode{
		Name: "kube-proxy/" + p.of.Name, PeerOf: p.of.Name, Summary: p.summary,
		Caveats: []modes.Caveat{{Text: "The real kube-proxy writes Services in no order, so that first, middle and last Service are " +
			"any three in its chains; it starts tools for each sync."}},
		DataPath: p.of.DataPath, Params: params, Needs: p.of.Needs, Limits: p.limits,
		// One transaction of nf_tables needs socket buffers that only real root may have.
		Traits: func(a modes.Args) modes.Traits {
			return modes.Traits{RealRoot: p.realRoot || a[iptables.BackendParam] == iptables.NFT, ServiceTakes: p.serviceTakes}
		},
	}
	m.New = func(a modes.Args, machine modes.Machine) modes.Proxier {
		return newProxier(p, m.Name, m.Arg(a, ReleaseParam), m.Arg(a, iptables.BackendParam), machine.Family)
	}
	return m
}

// needs says what this kernel lacks.
func (p peer) needs(f modes.Family, backend string) func(context.Context) error {
	return func(ctx context.Context) error { return p.check(f, backend).Probe(ctx) }
}
