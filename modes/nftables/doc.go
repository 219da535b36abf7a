// Package nftables is the mode `nftables`: Services in a table of their own,
// "ip kube-proxy" and "ip6 kube-proxy", as the real kube-proxy names it.
//
// The base chains and what they lead to are kube-proxy's (1.37):
//
//	prerouting, output -> firewall-check (LoadBalancer source ranges)
//	prerouting, output -> services       (a map look-up, DNAT)
//	input, forward, output -> service-endpoints-check, cluster-ips-check (reject, drop)
//	postrouting -> masquerading          (the mark 0x4000, hairpins)
//
// How a packet gets from "services" to an endpoint is the [Layout]: a chain and an
// anonymous map for each Service, as kube-proxy has it, or a few big maps that all
// Services share, in which one Service more is a few elements more.
//
// The way through the package:
//
//  1. [Planner] makes a [Table] out of a Snapshot, and a [Change] out of two.
//  2. A Change is rendered as nft text (for goldens, and for apply "nft") or as
//     netlink messages.
//  3. [Proxier] sends it, in one transaction.
//  4. [Program] follows a packet through a Table without a kernel.
//
// It differs from kube-proxy in one way, on purpose: every endpoint is among the
// hairpin connections, not only those on the node, since the lab's endpoints
// reach their Services through one node.
package nftables
