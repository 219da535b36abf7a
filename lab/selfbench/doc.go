// Package selfbench holds the lab's own benchmarks: how fast it programs the
// kernel beside the bare tools fed a ready-made text, how fast its userspace proxy is
// beside HAProxy, and what its probes see beside generators and a referee in C. It has only
// tests; `make bench-self` runs them, in the guest too.
package selfbench
