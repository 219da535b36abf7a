package selfbench

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// BenchmarkGuest: what the kernel of the testbed takes for what measurements are made of.
// Run in each testbed, and with each kernel, it tells what a guest inflates.
func BenchmarkGuest(b *testing.B) {
	b.Run("Syscall", func(b *testing.B) { each(b, 100, 1000, func() { _ = unix.Getppid() }) })
	b.Run("Clock", func(b *testing.B) { each(b, 100, 1000, func() { _ = time.Now() }) })
	b.Run("PageFault", pageFaults)
	b.Run("ForkExec", func(b *testing.B) {
		each(b, 50, 1, func() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("Boot", sinceBoot)
	b.Run("FirstPacket", func(b *testing.B) {
		ns, _ := firstPacket(b, 1, modes.TCP, labChain, labProbe)
		b.ReportMetric(ns/1e3, "median-µs")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("Iperf", guestIperf)
	b.Run("Restore", func(b *testing.B) {
		snap := synth.Spec{Services: 20000, Endpoints: 2, Ports: 1, Seed: 1}.Snapshot()
		var took []float64
		inNode(b, func() {
			for range rounds {
				took = append(took, full(b, newIptables, snap)().Seconds())
			}
		})
		report(b, took)
	})
}

// each times samples of so many calls, and reports one call's time.
func each(b *testing.B, samples, calls int, call func()) {
	var took []float64
	for range samples {
		start := time.Now()
		for range calls {
			call()
		}
		took = append(took, time.Since(start).Seconds()/float64(calls))
	}
	report(b, took)
}

// pageFaults times the first write to each page of fresh memory.
func pageFaults(b *testing.B) {
	const pages = 1024
	size := os.Getpagesize()
	var took []float64
	for range 20 {
		m, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			b.Fatal(err)
		}
		_ = unix.Madvise(m, unix.MADV_NOHUGEPAGE) // one fault a page
		start := time.Now()
		for i := 0; i < len(m); i += size {
			m[i] = 1
		}
		took = append(took, time.Since(start).Seconds()/pages)
		if err := unix.Munmap(m); err != nil {
			b.Fatal(err)
		}
	}
	report(b, took)
}

// sinceBoot is the kernel's age when process 1 started, which in a guest is viplab's.
func sinceBoot(b *testing.B) {
	init, err := os.ReadFile("/proc/1/cmdline")
	if err != nil {
		b.Fatal(err)
	}
	var st syscall.Sysinfo_t
	if err := syscall.Sysinfo(&st); err != nil {
		b.Fatal(err)
	}
	if !strings.Contains(string(init), "init") || st.Uptime > 3600 {
		b.Skip("SKIPPED: the time to boot: this kernel was not started for the benchmark")
	}
	stat, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		b.Fatal(err)
	}
	// Of the fields after the name, in parentheses, the 20th is the start, in hundredths.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	age, err := time.ParseDuration(fields[19] + "0ms")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(age.Seconds()*1e3, "ms")
	b.ReportMetric(0, "ns/op")
}

// guestIperf is the bulk throughput between two namespaces, through the node.
func guestIperf(b *testing.B) {
	const port = 5201
	once(b, func(b *testing.B, net *topo.Topology) {
		var server *workload.IperfServer
		err := net.Backend.Do(func() (err error) { server, err = workload.StartIperf(modes.IPv4, port); return err })
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = net.Backend.Do(func() error { server.Stop(); return nil }) }()
		s := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}
		to := netip.AddrPortFrom(s.Service(0).Endpoints[0].Addr, port)
		err = net.Client.Do(func() error {
			t, err := workload.Iperf(context.Background(), server, to, 3*time.Second, 0)
			b.ReportMetric(t.BitsPerSecond/1e9, "Gbit/s")
			return err
		})
		if err != nil {
			b.Error(err)
		}
		b.ReportMetric(0, "ns/op")
	})
}
