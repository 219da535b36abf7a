// Package selfbench holds the lab's own benchmarks: how fast it programs the
// kernel beside the bare tools fed a ready-made text, and how fast its userspace
// proxy is beside HAProxy. It has only tests; `make bench-self` runs them in the
// guest.
package selfbench
