// Package userspace is the mode `userspace`: kube-proxy's first one, which ended
// with Kubernetes 1.26.
//
// A process (package proxy) listens on one port for each Service port and
// copies bytes between clients and endpoints, round robin. Two chains of portal
// rules, one rule a Service port each, lead packets for a VIP to that port:
//
//	PREROUTING -> KUBE-PORTALS-CONTAINER -> REDIRECT to the proxy's port
//	OUTPUT     -> KUBE-PORTALS-HOST      -> DNAT to the node's address and that port
//
// kube-proxy wrote these rules one process at a time, which is quadratic in the
// number of Services (25 s at 1000). Here one iptables-restore writes them, as
// in the other modes. Endpoint changes touch no rule at all.
package userspace
