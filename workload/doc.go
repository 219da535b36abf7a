// Package workload makes traffic and measures it: the server behind every
// endpoint, probes of single flows, a closed loop of new connections, iperf3,
// and the CPU and memory that all of it takes.
//
// All sockets belong to the network namespace of the thread that opens them;
// the caller sees to that. Probes are blocking system calls on a thread of
// their own, so that no scheduler or poller stands between the packet and the
// clock.
package workload
