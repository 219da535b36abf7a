// Package kubeproxy has the real kube-proxy as modes: kube-proxy/iptables, kube-proxy/ipvs
// and kube-proxy/nftables, peers of the lab's modes of those names.
//
// They are programs that `make peers` builds from the modules beside this package (v1.37,
// v1.34: one for each generation of the proxiers' interface), so that nothing of
// k8s.io/kubernetes is in the lab itself. They lie in the user's cache ([Dir]), and are
// spoken to over a pipe (viplab/modes/pipe).
//
// Kube-proxy's own scheduler, which waits for minSyncPeriod between two syncs, is left out,
// and so is the API server: a sync's time is that of its change handlers and its
// syncProxyRules. It runs for each address family as a process, where the real one runs
// both families in one. Sysctls that it changes and leaves are put back at Close.
package kubeproxy
