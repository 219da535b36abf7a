// Kube-proxy-helper runs a proxier of Kubernetes 1.34, whose constructors take one
// argument for each setting, for the lab.
package main

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
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

// noMinimum lets syncs follow each other at once.
const noMinimum = time.Duration(0)

// newProxier makes the proxier of one family.
func newProxier(c helper.Config) (proxy.Provider, error) {
	ctx := context.Background()
	metrics.RegisterMetrics(kubeproxyconfig.ProxyMode(c.Mode))
	switch c.Mode {
	case "iptables":
		return iptables.NewProxier(ctx, c.Family, utiliptables.New(protocol(c.Family)), utilsysctl.New(),
			helper.SyncPeriod, noMinimum, c.MasqueradeAll, c.LocalhostNodePorts, helper.MasqueradeBit, c.Detector,
			c.NodeName, c.NodeIP, c.Recorder, c.Health, c.NodePortAddresses, false)
	case "ipvs":
		return ipvs.NewProxier(ctx, c.Family, utiliptables.New(protocol(c.Family)), ipvsutil.New(), ipset.New(), utilsysctl.New(),
			helper.SyncPeriod, noMinimum, nil, false, 0, 0, 0, c.MasqueradeAll, helper.MasqueradeBit, c.Detector,
			c.NodeName, c.NodeIP, c.Recorder, c.Health, helper.Scheduler, c.NodePortAddresses, false)
	case "nftables":
		return nftables.NewProxier(ctx, c.Family, helper.SyncPeriod, noMinimum, c.MasqueradeAll, helper.MasqueradeBit, c.Detector,
			c.NodeName, c.NodeIP, c.Recorder, c.Health, c.NodePortAddresses, false)
	}
	return nil, fmt.Errorf("unknown mode %q", c.Mode)
}

func protocol(f v1.IPFamily) utiliptables.Protocol {
	if f == v1.IPv6Protocol {
		return utiliptables.ProtocolIPv6
	}
	return utiliptables.ProtocolIPv4
}
