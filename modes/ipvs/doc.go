// Package ipvs is the mode `ipvs`: a virtual server in the kernel's IPVS table
// for each Service port, as the real kube-proxy has it.
//
//   - Every VIP is local by a route of the dummy device kube-ipvs0, because IPVS takes
//     packets on their way into the host (LOCAL_IN). In kube-proxy it is an address of
//     that device ([BindAddress]): the same to a packet, but the kernel looks through all
//     addresses of the host whenever one is added.
//   - Virtual and real servers are a hash table that is filled over netlink:
//     one lookup a packet, whatever the number of Services.
//   - ipsets (KUBE-CLUSTER-IP, KUBE-LOOP-BACK) let a constant number of iptables
//     rules mark what must be masqueraded.
//
// A Sync is planned as a list of [Op] and committed in batches: one netlink
// message can carry hundreds of operations, and only the last asks for an
// answer. The real kube-proxy starts one ipset process for each entry.
//
// KUBE-LOOP-BACK holds every endpoint here, where kube-proxy adds only those on
// its own node: the iptables modes can hairpin to every endpoint, and so must
// this one for the comparison to be fair.
package ipvs
