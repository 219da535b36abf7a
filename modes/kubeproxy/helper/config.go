package helper

import (
	"fmt"
	"net"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/proxy/healthcheck"
	proxyutil "k8s.io/kubernetes/pkg/proxy/util"
)

// Values that hold for all proxiers here, kube-proxy's defaults but for the first.
const (
	// SyncPeriod is so long that nothing is programmed but what the lab asks for.
	SyncPeriod = 24 * time.Hour
	// MasqueradeBit is the bit of the mark on packets to be masqueraded.
	MasqueradeBit = 14
	// Scheduler is that of virtual servers.
	Scheduler = "rr"
)

// Config is what a proxier is made of, whatever its generation takes.
type Config struct {
	Mode               string // iptables, ipvs, nftables
	Family             v1.IPFamily
	NodeName           string
	NodeIP             net.IP
	Detector           proxyutil.LocalTrafficDetector
	MasqueradeAll      bool
	LocalhostNodePorts bool
	NodePortAddresses  []string
	Recorder           events.EventRecorder
	Health             *healthcheck.ProxyHealthServer
}

// newConfig is the Config that the lab asks for.
func newConfig(r request) (Config, error) {
	c := Config{
		Mode: r.Args["mode"], Family: v1.IPv4Protocol, NodeName: r.Node.Name, NodeIP: net.IPv4(127, 0, 0, 1),
		Detector: proxyutil.NewNoOpLocalDetector(), MasqueradeAll: r.Node.MasqueradeAll,
		LocalhostNodePorts: r.Node.LocalhostNodePorts, NodePortAddresses: r.Node.NodePortAddresses,
		Recorder: &events.FakeRecorder{}, // keeps nothing
		Health:   healthcheck.NewProxyHealthServer("", SyncPeriod, nil),
	}
	if r.Family == "ipv6" {
		c.Family, c.NodeIP = v1.IPv6Protocol, net.IPv6loopback
	}
	if len(r.Node.Addresses) > 0 {
		if c.NodeIP = net.ParseIP(r.Node.Addresses[0]); c.NodeIP == nil {
			return c, fmt.Errorf("the node's address %q is none", r.Node.Addresses[0])
		}
	}
	if r.Node.ClusterCIDR != "" {
		if _, _, err := net.ParseCIDR(r.Node.ClusterCIDR); err != nil {
			return c, fmt.Errorf("cluster range: %w", err)
		}
		c.Detector = proxyutil.NewDetectLocalByCIDR(r.Node.ClusterCIDR)
	}
	return c, nil
}
