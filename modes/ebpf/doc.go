// Package ebpf is the mode `ebpf`: Services as entries of BPF hash maps, looked up by
// small programs of our own, in the structure of Cilium's load balancer.
//
// A front (address, port, protocol, scope, slot) leads to a Service port in slot 0 and
// to the id of a backend in each slot from 1; a backend is an address and port. An
// affinity map remembers which backend a client had. Where packets are translated, a
// connection map says for each direction of a flow what its addresses become; where
// sockets are, a map of peers says what a socket had dialled.
//
// The programs run in one or both of two places ([Attach]):
//
//   - tc: where packets enter the node by a link, and where those of the node's own
//     sockets leave it. Destinations are translated there and answers translated back.
//   - socket: where a process of the node calls connect or sendmsg (cgroup hooks). The
//     socket is led to the endpoint at once, no packet is translated. Only connections
//     that begin in the node are seen: a figure of another's traffic says nothing of it.
//
// It differs from Cilium on purpose in two ways. A backend belongs to one Service port and
// says which of its fronts lead there, so that a choice that is remembered by its id is known
// to be still the front's. And the way back stands in the connection map itself, not in a
// reverse map of Services beside it: a connection outlives its Service, as with conntrack.
//
// A packet whose new source is an address of the node (masqueraded, or the answer from a
// node port) leaves by the link that the routing table names without passing the
// stack, which takes packets from outside with such a source for forgeries. All others
// go on through the stack.
//
// The C programs are in bpf/, compiled once for each family. Compiled objects are
// committed; whoever only builds needs no compiler for them.
package ebpf
