package iptables

import (
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"strings"

	"viplab/modes"
)

// Chains and mark bit as kube-proxy names them (masquerade bit 14).
const (
	ServicesChain    = "KUBE-SERVICES"
	NodePortsChain   = "KUBE-NODEPORTS"
	PostroutingChain = "KUBE-POSTROUTING"
	MarkMasqChain    = "KUBE-MARK-MASQ"
	ForwardChain     = "KUBE-FORWARD"
	MasqueradeMark   = 0x4000
)

// hash16 is the first 16 characters of the base32 of the SHA-256, kube-proxy's
// way to squeeze a name into iptables' limit of 28 characters.
func hash16(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "")))
	return base32.StdEncoding.EncodeToString(h[:])[:16]
}

// ServiceChain is the name of the chain that picks an endpoint.
func ServiceChain(portName string, proto modes.Protocol) string {
	return "KUBE-SVC-" + hash16(portName, string(proto))
}

// EndpointChain is the name of the chain that rewrites to one endpoint.
func EndpointChain(portName string, proto modes.Protocol, ep netip.AddrPort) string {
	return "KUBE-SEP-" + hash16(portName, string(proto), ep.String())
}
