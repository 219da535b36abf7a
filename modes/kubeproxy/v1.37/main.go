// Kube-proxy-helper runs a proxier of Kubernetes 1.37, whose constructors take a
// KubeProxyConfiguration, for the lab.
package main

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/proxy"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/iptables"
	"k8s.io/kubernetes/pkg/proxy/ipvs"
	"k8s.io/kubernetes/pkg/proxy/ipvs/ipset"
	ipvsutil "k8s.io/kubernetes/pkg/proxy/ipvs/util"
	"k8s.io/kubernetes/pkg/proxy/metrics"
	"k8s.io/kubernetes/pkg/proxy/nftables"
	utiliptables "k8s.io/kubernetes/pkg/util/iptables"

	utilsysctl "k8s.io/component-helpers/node/util/sysctl"

	"viplab/modes/kubeproxy/helper"
)

func main() { helper.Main(newProxier) }

// newProxier makes the proxier of one family.
func newProxier(c helper.Config) (proxy.Provider, error) {
	ctx := context.Background()
	metrics.RegisterMetrics(kubeproxyconfig.ProxyMode(c.Mode))
	bit := int32(helper.MasqueradeBit)
	config := &kubeproxyconfig.KubeProxyConfiguration{
		Mode:              kubeproxyconfig.ProxyMode(c.Mode),
		SyncPeriod:        metav1.Duration{Duration: helper.SyncPeriod},
		NodePortAddresses: c.NodePortAddresses,
	}
	config.Linux.MasqueradeAll = c.MasqueradeAll
	config.IPTables.LocalhostNodePorts, config.IPTables.MasqueradeBit = &c.LocalhostNodePorts, &bit
	config.NFTables.MasqueradeBit = &bit
	config.IPVS.Scheduler = helper.Scheduler
	switch c.Mode {
	case "iptables":
		return iptables.NewProxier(ctx, config, c.Family, utiliptables.New(protocol(c.Family)), utilsysctl.New(), c.Detector,
			c.NodeName, c.NodeIP, c.Recorder, c.Health, false)
	case "ipvs":
		return ipvs.NewProxier(ctx, config, c.Family, utiliptables.New(protocol(c.Family)), ipvsutil.New(), ipset.New(), utilsysctl.New(),
			c.Detector, c.NodeName, c.NodeIP, c.Recorder, c.Health, false)
	case "nftables":
		return nftables.NewProxier(ctx, config, c.Family, c.Detector, c.NodeName, c.NodeIP, c.Recorder, c.Health, false)
	}
	return nil, fmt.Errorf("unknown mode %q", c.Mode)
}

func protocol(f v1.IPFamily) utiliptables.Protocol {
	if f == v1.IPv6Protocol {
		return utiliptables.ProtocolIPv6
	}
	return utiliptables.ProtocolIPv4
}
