package helper

import (
	"context"

	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/kubernetes/pkg/proxy/iptables"
	"k8s.io/kubernetes/pkg/proxy/ipvs"
	"k8s.io/kubernetes/pkg/proxy/nftables"
)

// cleanUp removes all that kube-proxy programs in a mode, of both families, as its option
// --cleanup does. It says whether something failed, which is in the log.
func cleanUp(ctx context.Context, mode string) (failed bool) {
	switch mode {
	case "iptables":
		return iptables.CleanupLeftovers(ctx)
	case "ipvs":
		return ipvs.CleanupLeftovers(ctx)
	}
	return nftables.CleanupLeftovers(ctx)
}

// rulesWritten is how many iptables rules the last sync wrote, by the proxier's own metric.
func rulesWritten() (n int) {
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		return 0 // a count that could not be read is not told
	}
	for _, f := range families {
		if f.GetName() == "kubeproxy_sync_proxy_rules_iptables_last" {
			for _, m := range f.GetMetric() {
				n += int(m.GetGauge().GetValue())
			}
		}
	}
	return n
}
