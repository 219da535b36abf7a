package iptables

import (
	"crypto/sha256"
	"encoding/base32"
	"net/netip"

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

// hashed is a prefix before the first 16 characters of the base32 of the SHA-256 of a text,
// kube-proxy's way to squeeze a name into iptables' limit of 28 characters. A full sync of
// 20000 Services makes 140000 of them, so it keeps nothing but the name.
func hashed(prefix string, text []byte) string {
	h := sha256.Sum256(text)
	name := append(make([]byte, 0, 28), prefix...)
	return string(base32.StdEncoding.AppendEncode(name, h[:16*5/8]))
}

// portText is what names of chains of a Service port are hashed from.
func portText(portName string, proto modes.Protocol) []byte {
	return append(append(make([]byte, 0, 128), portName...), proto...)
}

// ServiceChain is the name of the chain that picks an endpoint.
func ServiceChain(portName string, proto modes.Protocol) string {
	return hashed("KUBE-SVC-", portText(portName, proto))
}

// EndpointChain is the name of the chain that rewrites to one endpoint.
func EndpointChain(portName string, proto modes.Protocol, ep netip.AddrPort) string {
	return hashed("KUBE-SEP-", ep.AppendTo(portText(portName, proto)))
}
