package trial

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// Positions of Services in the order of the rules.
const (
	First, Middle, Last, Random = "first", "middle", "last", "random"
)

// Positions lists them in the order of reports.
func Positions() []string { return []string{First, Middle, Last, Random} }

// at picks a Service by position. UDP is served by some positions only.
func (r *run) at(position string, proto modes.Protocol) *modes.Service {
	places := r.Synth.UDPPositions()
	pick := func(i int) int { return places[i] }
	n := len(places)
	if proto == modes.TCP {
		n, pick = r.count(), func(i int) int { return i }
	}
	switch position {
	case First:
		return r.service(pick(0))
	case Middle:
		return r.service(pick((n - 1) / 2))
	case Last:
		return r.service(pick(n - 1))
	}
	return r.service(pick(r.rng.IntN(n)))
}

// cell is one kind of first packet.
type cell struct {
	from, position string
	proto          modes.Protocol
}

func (c cell) factors() map[string]string {
	return map[string]string{results.From: c.from, results.Position: c.position, results.Protocol: string(c.proto)}
}

// Places where probes start.
const (
	FromClient, FromNode = "client", "node"
)

// cells lists what is measured: from the client every position over both
// protocols, from the node the first and the last over TCP, unless mode ipvs forwards
// so that the node itself is not answered.
func (r *run) cells() []cell {
	var out []cell
	for _, proto := range []modes.Protocol{modes.TCP, modes.UDP} {
		for _, pos := range Positions() {
			out = append(out, cell{FromClient, pos, proto})
		}
	}
	if !r.toNode() {
		return out
	}
	return append(out, cell{FromNode, First, modes.TCP}, cell{FromNode, Last, modes.TCP})
}

// in runs a probe in the namespace where a cell's packets start.
func (r *run) in(from string, probe func(*workload.Prober) error) error {
	if from == FromNode {
		return r.net.Node.Do(func() error { return probe(r.inNode) })
	}
	return r.net.Client.Do(func() error { return probe(r.prober) })
}

// firstPackets measures round trips of new flows, and then of established ones.
// The cells take turns, so that a disturbance does not hit one of them alone.
func (r *run) firstPackets(ctx context.Context) error {
	if r.Plan.Packets <= 0 {
		return nil
	}
	samples := map[cell][]float64{}
	for i := range r.Plan.Warmup + r.Plan.Packets {
		for _, c := range r.cells() {
			to := r.target(r.at(c.position, c.proto))
			err := r.in(c.from, func(p *workload.Prober) error {
				took, err := p.FirstPacket(c.proto, to)
				if i >= r.Plan.Warmup {
					samples[c] = append(samples[c], took.Seconds())
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("from the %s: %w", c.from, err)
			}
		}
	}
	for _, c := range r.cells() {
		r.record(results.FirstPacket, c.factors(), samples[c]...)
	}
	if err := r.spread(); err != nil {
		return err
	}
	if r.toNode() {
		if err := r.nodeSends(); err != nil {
			return err
		}
	}
	return r.established()
}

// perPosition is how many random Services are asked for each packet to a fixed
// position: percentiles over all Services need more samples than a median.
const perPosition = 5

// spread measures first packets to further Services, a random one each.
func (r *run) spread() error {
	random := cell{FromClient, Random, modes.TCP}
	var took []float64
	for range (perPosition - 1) * r.Plan.Packets {
		to := r.target(r.at(random.position, random.proto))
		err := r.in(random.from, func(p *workload.Prober) error {
			d, err := p.FirstPacket(random.proto, to)
			took = append(took, d.Seconds())
			return err
		})
		if err != nil {
			return fmt.Errorf("from the %s: %w", random.from, err)
		}
	}
	r.record(results.FirstPacket, random.factors(), took...)
	return nil
}

// nodeSends measures the same walk through the rules in another way: how long
// the call lasts that sends a SYN from the node, without its answer.
func (r *run) nodeSends() error {
	positions := []string{First, Middle, Last}
	samples := map[string][]float64{}
	for i := range r.Plan.Warmup + r.Plan.Packets {
		for _, pos := range positions {
			to := r.target(r.at(pos, modes.TCP))
			err := r.in(FromNode, func(p *workload.Prober) error {
				took, err := p.Send(to)
				if i >= r.Plan.Warmup {
					samples[pos] = append(samples[pos], took.Seconds())
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("from the node: %w", err)
			}
		}
	}
	for _, pos := range positions {
		r.record(results.NodeSend, map[string]string{results.Position: pos}, samples[pos]...)
	}
	return nil
}

func (r *run) established() error {
	for _, c := range r.cells() {
		if c.position == Middle || c.position == Random {
			continue
		}
		to := r.target(r.at(c.position, c.proto))
		var took []float64
		err := r.in(c.from, func(p *workload.Prober) error {
			each, err := p.Established(c.proto, to, r.Plan.Packets)
			for _, d := range each {
				took = append(took, d.Seconds())
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("from the %s: %w", c.from, err)
		}
		r.record(results.EstablishedPacket, c.factors(), took...)
	}
	return nil
}

// randomTargets draws Services for a client that goes through many of them.
func (r *run) randomTargets() []netip.AddrPort {
	targets := make([]netip.AddrPort, 512)
	for i := range targets {
		targets[i] = r.target(r.at(Random, modes.TCP))
	}
	return targets
}

// connections measures the rate of new connections to random Services.
func (r *run) connections(ctx context.Context) error {
	if r.Plan.Connect <= 0 {
		return nil
	}
	targets := r.randomTargets()
	warm, err := workload.Connect(ctx, targets, r.Plan.Workers, r.Plan.Connect/5, r.net.Client.Go)
	if err != nil {
		return err
	}
	before, err := r.usage()
	if err != nil {
		return err
	}
	c, err := workload.Connect(ctx, targets, r.Plan.Workers, r.Plan.Connect, r.net.Client.Go)
	if err != nil {
		return err
	}
	after, err := r.usage()
	if err != nil {
		return err
	}
	if c.Failed+warm.Failed > 0 || c.Done == 0 {
		return fmt.Errorf("%d of %d connections failed: %w", c.Failed+warm.Failed, c.Done+c.Failed+warm.Done+warm.Failed, c.Err)
	}
	random := map[string]string{results.Position: Random}
	r.record(results.ConnectionsRate, random, c.PerSecond())
	r.record(results.ConnectionCPU, random, (after-before).Seconds()/float64(c.Done))
	return nil
}

// usage is the CPU time so far of all that moves packets: this process (client,
// server, and the kernel on their behalf) and the mode's own process.
func (r *run) usage() (time.Duration, error) {
	u, err := workload.SelfUsage()
	if err != nil {
		return 0, err
	}
	p, err := r.proxyUsage()
	return u.CPU + p.CPU, err
}

func (r *run) proxyPIDs() []int {
	if p, ok := r.mode.(modes.ProcessReporter); ok {
		return p.ProcessIDs()
	}
	return nil
}

// proxyUsage is the sum over the mode's own processes.
func (r *run) proxyUsage() (sum workload.ProcessUsage, err error) {
	for _, pid := range r.proxyPIDs() {
		u, err := workload.UsageOf(pid)
		if err != nil {
			return sum, err
		}
		sum.CPU, sum.RSS, sum.PeakRSS = sum.CPU+u.CPU, sum.RSS+u.RSS, sum.PeakRSS+u.PeakRSS
	}
	return sum, nil
}

// iperf measures bulk throughput through the first and the last Service. The
// iperf3 server takes the echo server's place behind every endpoint.
func (r *run) iperf(ctx context.Context) error {
	if r.Plan.Iperf <= 0 {
		return nil
	}
	r.server.Close()
	r.server = nil
	var stop func()
	err := r.net.Backend.Do(func() (err error) {
		stop, err = workload.StartIperf(r.service(0).Family(), r.Synth.TargetPort())
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = r.net.Backend.Do(func() error { stop(); return nil }) }()
	for _, pos := range []string{First, Last} {
		r.step("iperf3 through the %s service", pos)
		to := r.target(r.at(pos, modes.TCP))
		before, err := workload.ReadMachineCPU()
		if err != nil {
			return err
		}
		var t workload.Throughput
		err = r.net.Client.Do(func() (err error) {
			t, err = workload.Iperf(ctx, to, r.Plan.Iperf)
			return err
		})
		if err != nil {
			return err
		}
		after, err := workload.ReadMachineCPU()
		if err != nil {
			return err
		}
		r.record(results.Throughput, map[string]string{results.Position: pos}, t.BitsPerSecond)
		for kind, s := range after {
			r.record(results.GigabitCPU, map[string]string{results.Position: pos, results.Kind: kind}, (s-before[kind])/(t.Bits/1e9))
		}
	}
	return nil
}

// memory records what the mode's own processes hold.
func (r *run) memory(context.Context) error {
	if len(r.proxyPIDs()) == 0 {
		return nil
	}
	u, err := r.proxyUsage()
	if err != nil {
		return err
	}
	r.record(results.ProxyRSS, nil, float64(u.RSS))
	r.record(results.ProxyPeakRSS, nil, float64(u.PeakRSS))
	r.record(results.CPUSeconds, map[string]string{results.Of: "proxy"}, u.CPU.Seconds())
	return nil
}
