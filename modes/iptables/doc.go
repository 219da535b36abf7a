// Package iptables is the mode `iptables`: Services as linear chains of
// iptables rules, in the structure, names and order of the real kube-proxy:
//
//	PREROUTING, OUTPUT -> KUBE-SERVICES (one rule a Service port)
//	  -> KUBE-SVC-* (statistic random) -> KUBE-SEP-* (mark, DNAT)
//	POSTROUTING -> KUBE-POSTROUTING (masquerade what KUBE-MARK-MASQ marked)
//
// A plain Service port with E endpoints takes 1+E chains and 2+3E rules.
//
// It differs from kube-proxy in two ways, on purpose. The order of Services is
// fixed, where kube-proxy follows Go's map order, so that "first" and "last"
// mean something. And an update edits single rules of KUBE-SERVICES by number,
// where kube-proxy writes that chain anew; the kernel holds the same rules
// afterwards.
//
// The package also serves other modes that keep rules in iptables: [Restorer]
// commits any ruleset and remembers it.
package iptables
