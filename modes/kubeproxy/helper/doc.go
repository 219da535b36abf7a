// Package helper is what the programs have in common that run a real proxier of
// Kubernetes for the lab: they speak the line protocol of viplab/modes/pipe on standard
// input and output, and hand what they are told to the proxier as its informers would.
//
// A generation of the proxiers' interface is a small module beside this one, which makes
// a proxier and calls [Main]. This module compiles with all of them.
//
// A proxier is driven through its exported methods alone: changes by the On… handlers,
// and a sync by OnEndpointSlicesSynced, which programs at once and on the caller's
// thread. Its own scheduler (SyncLoop), which would wait for minSyncPeriod between two
// syncs, is left out: the lab says when to sync.
package helper
