package selfbench

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/clock"
	"viplab/workload"
)

// inLoopback calls fn with a server on the client's own loopback: what a probe
// then takes is its own cost and that of the shortest way there is.
func inLoopback(b *testing.B, fn func(net *topo.Topology, to netip.AddrPort) error) {
	const port = 8080
	once(b, func(b *testing.B, net *topo.Topology) {
		var server *workload.Server
		err := net.Client.Do(func() (err error) {
			server, err = workload.Serve(workload.Listen{TCP: []uint16{port}, UDP: []uint16{port}})
			return err
		})
		if err != nil {
			b.Error(err)
			return
		}
		defer server.Close()
		if err := fn(net, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkProbeClock: reading the clock twice, which is in every sample.
func BenchmarkProbeClock(b *testing.B) {
	var took []float64
	for range 1000 {
		start := clock.Now()
		took = append(took, clock.Since(start).Seconds())
	}
	report(b, took)
}

// BenchmarkProbeFirstPacket: a probe on loopback, without topology and mode.
func BenchmarkProbeFirstPacket(b *testing.B) {
	for _, proto := range []modes.Protocol{modes.TCP, modes.UDP} {
		b.Run(string(proto), func(b *testing.B) {
			var took []float64
			inLoopback(b, func(net *topo.Topology, to netip.AddrPort) error {
				return net.Client.Do(func() error {
					return workload.Quiet(func() error {
						p := &workload.Prober{}
						for range 500 {
							d, err := p.FirstPacket(proto, to)
							if err != nil {
								return err
							}
							took = append(took, d.Seconds())
						}
						return nil
					})
				})
			})
			report(b, took)
		})
	}
}

// BenchmarkProbeMaxRate: how many connections a second the closed loop can make at
// most, up to which rate the open loop sends in time, and how late it sends at a rate
// that is easy.
func BenchmarkProbeMaxRate(b *testing.B) {
	inLoopback(b, func(net *topo.Topology, to netip.AddrPort) error {
		err := workload.Quiet(func() error {
			c, err := workload.Connect(context.Background(), []netip.AddrPort{to}, 4, 2*time.Second, net.Client.Go)
			b.ReportMetric(c.PerSecond(), "closed-loop/s")
			return err
		})
		best := 0.0
		for rate := easyRate / 8; err == nil && rate <= 25600; rate *= 2 {
			var late time.Duration
			if late, err = lateness(net, to, rate); late > inTime {
				break
			}
			best = rate
			if rate == easyRate {
				b.ReportMetric(late.Seconds()*1e6, "open-loop-late-µs")
			}
		}
		b.ReportMetric(best, "open-loop-in-time/s")
		b.ReportMetric(0, "ns/op")
		return err
	})
}

const (
	easyRate = 200.0 // connections a second, as clients beside syncs make
	// inTime is how late the median request may be. At a rate that is too high all fall
	// behind more and more, while a neighbour that takes the processor away for a moment
	// delays a few, at any rate.
	inTime = 5 * time.Millisecond
)

// lateness is how late the median request of the open loop is sent.
func lateness(net *topo.Topology, to netip.AddrPort, rate float64) (time.Duration, error) {
	var requests []workload.Request
	err := workload.Quiet(func() (err error) {
		requests, err = workload.Steady(context.Background(), []netip.AddrPort{to}, rate, workload.Workers{From: 8, Most: 8}, time.Second, net.Client.Go)
		return err
	})
	if err != nil {
		return 0, err
	}
	late := make([]time.Duration, 0, len(requests))
	for _, r := range requests {
		if r.Err != nil {
			return 0, r.Err
		}
		late = append(late, r.Sent-r.Intended)
	}
	slices.Sort(late)
	return late[len(late)/2], nil
}

func report(b *testing.B, took []float64) {
	if len(took) == 0 {
		b.Fatal(fmt.Errorf("nothing was measured"))
	}
	m := median(took)
	b.ReportMetric(m.Center*1e6, "median-µs")
	b.ReportMetric(m.Lo*1e6, "lo-µs")
	b.ReportMetric(m.Hi*1e6, "hi-µs")
	b.ReportMetric(0, "ns/op")
}
