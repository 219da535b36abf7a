package nftables

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"

	"viplab/modes"
)

// TableName is the name of the tables, one of each family.
const TableName = "kube-proxy"

// MasqueradeMark is the mark of packets that leave with the node's address
// (masquerade bit 14).
const MasqueradeMark = 0x4000

// Chains that are there whatever the Services, as kube-proxy names them.
const (
	preroutingPreDNAT = "filter-prerouting-pre-dnat"
	outputPreDNAT     = "filter-output-pre-dnat"
	filterInput       = "filter-input"
	filterForward     = "filter-forward"
	filterOutput      = "filter-output"
	natPrerouting     = "nat-prerouting"
	natOutput         = "nat-output"
	natPostrouting    = "nat-postrouting"

	nodePortCheck   = "nodeport-endpoints-check"
	serviceCheck    = "service-endpoints-check"
	firewallCheck   = "firewall-check"
	clusterIPsCheck = "cluster-ips-check"
	servicesChain   = "services"
	masquerading    = "masquerading"
	rejectChain     = "reject-chain"
)

// Sets and maps that kube-proxy has.
const (
	clusterIPs          = "cluster-ips"
	nodePortIPs         = "nodeport-ips"
	hairpins            = "hairpin-connections"
	serviceIPs          = "service-ips"
	serviceNodePorts    = "service-nodeports"
	noEndpointServices  = "no-endpoint-services"
	noEndpointNodePorts = "no-endpoint-nodeports"
	firewallIPs         = "firewall-ips"
)

// Maps of the other layouts.
const (
	serviceCounts     = "service-counts"     // (address, protocol, port) -> number of endpoints
	nodePortCounts    = "nodeport-counts"    // (protocol, port) -> number of endpoints
	balancers         = "balancers"          // number of endpoints -> chain
	serviceEndpoints  = "service-endpoints"  // (address, protocol, port, slot) -> endpoint
	nodePortEndpoints = "nodeport-endpoints" // (protocol, port, slot) -> endpoint
	singleEndpoints   = "single-endpoints"   // (address, protocol, port) -> the only endpoint
)

// maxBase is the length of the longest name without the prefix that says of what it is, as
// kube-proxy has it: the kernel allows 255 characters with the prefix.
const maxBase = 240

// cut stands at the end of a name that was too long.
const cut = "..."

// hashed puts the first 8 characters of the base32 of its SHA-256 before a name and cuts it
// where it is too long, kube-proxy's way to keep names apart.
func hashed(name string) string {
	h := sha256.Sum256([]byte(name))
	out := base32.StdEncoding.EncodeToString(h[:])[:8] + "-" + name
	if len(out) > maxBase {
		out = out[:maxBase-len(cut)] + cut
	}
	return out
}

// portName is the part that the names of a Service port's chains have in common.
func portName(svc *modes.Service, p modes.ServicePort) string {
	return hashed(fmt.Sprintf("%s/%s/%s/%s", svc.Namespace, svc.Name, p.Protocol, p.Name))
}

// endpointName is that of an endpoint's chain and set. Colons of IPv6, which names
// must not have, become dots.
func endpointName(svc *modes.Service, p modes.ServicePort, to netip.AddrPort) string {
	addr := strings.ReplaceAll(to.Addr().String(), ":", ".")
	return hashed(fmt.Sprintf("%s/%s/%s/%s__%s/%d", svc.Namespace, svc.Name, p.Protocol, p.Name, addr, to.Port()))
}
