package measure

import (
	"context"
	"fmt"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// Packets measures round trips of the first packets of new flows, and then of packets of
// established ones.
func Packets() trial.Measurement {
	return trial.Measurement{Name: "first packets", Quiet: true, Wanted: func(st *trial.Stage) bool { return st.Plan.Packets > 0 }, Run: firstPackets}
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
// protocols, from the node the first and the last over TCP, unless the mode does not
// answer the node itself. Where it answers nobody else, all start there.
func cells(st *trial.Stage) []cell {
	var out []cell
	home := homeOf(st)
	for _, proto := range []modes.Protocol{modes.TCP, modes.UDP} {
		if !st.Answers(proto) {
			continue
		}
		for _, pos := range trial.Positions() {
			out = append(out, cell{home, pos, proto})
		}
	}
	if !st.NodeServed() || home == FromNode {
		return out
	}
	return append(out, cell{FromNode, trial.First, modes.TCP}, cell{FromNode, trial.Last, modes.TCP})
}

// homeOf is where most probes start.
func homeOf(st *trial.Stage) string {
	if st.Traits.OnlyNode {
		return FromNode
	}
	return FromClient
}

// in runs a probe in the namespace where a cell's packets start.
func in(st *trial.Stage, from string, probe func(*workload.Prober) error) error {
	if from == FromNode {
		return st.Net.Node.Do(func() error { return probe(st.InNode) })
	}
	return st.Net.Client.Do(func() error { return probe(st.Prober) })
}

// firstPackets measures round trips of new flows, and then of established ones.
// The cells take turns, so that a disturbance does not hit one of them alone.
func firstPackets(ctx context.Context, st *trial.Stage) error {
	samples := map[cell][]float64{}
	for i := range st.Plan.Warmup + st.Plan.Packets {
		for _, c := range cells(st) {
			to := st.TargetOver(st.At(c.position, c.proto), c.proto)
			err := in(st, c.from, func(p *workload.Prober) error {
				took, err := p.FirstPacket(c.proto, to)
				if i >= st.Plan.Warmup {
					samples[c] = append(samples[c], took.Seconds())
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("from the %s: %w", c.from, err)
			}
		}
	}
	for _, c := range cells(st) {
		st.Record(results.FirstPacket, c.factors(), samples[c]...)
	}
	if err := spread(st); err != nil {
		return err
	}
	if st.NodeServed() {
		if err := nodeSends(st); err != nil {
			return err
		}
	}
	return established(st)
}

// perPosition is how many random Services are asked for each packet to a fixed
// position: percentiles over all Services need more samples than a median.
const perPosition = 5

// spread measures first packets to further Services, a random one each.
func spread(st *trial.Stage) error {
	random := cell{homeOf(st), trial.Random, modes.TCP}
	var took []float64
	for range (perPosition - 1) * st.Plan.Packets {
		to := st.Target(st.At(random.position, random.proto))
		err := in(st, random.from, func(p *workload.Prober) error {
			d, err := p.FirstPacket(random.proto, to)
			took = append(took, d.Seconds())
			return err
		})
		if err != nil {
			return fmt.Errorf("from the %s: %w", random.from, err)
		}
	}
	st.Record(results.FirstPacket, random.factors(), took...)
	return nil
}

// nodeSends measures the same walk through the rules in another way: how long
// the call lasts that sends a SYN from the node, without its answer.
func nodeSends(st *trial.Stage) error {
	positions := []string{trial.First, trial.Middle, trial.Last}
	samples := map[string][]float64{}
	for i := range st.Plan.Warmup + st.Plan.Packets {
		for _, pos := range positions {
			to := st.Target(st.At(pos, modes.TCP))
			err := in(st, FromNode, func(p *workload.Prober) error {
				took, err := p.Send(to)
				if i >= st.Plan.Warmup {
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
		st.Record(results.NodeSend, map[string]string{results.Position: pos}, samples[pos]...)
	}
	return nil
}

func established(st *trial.Stage) error {
	for _, c := range cells(st) {
		if c.position == trial.Middle || c.position == trial.Random {
			continue
		}
		to := st.TargetOver(st.At(c.position, c.proto), c.proto)
		var took []float64
		err := in(st, c.from, func(p *workload.Prober) error {
			each, err := p.Established(c.proto, to, st.Plan.Packets)
			for _, d := range each {
				took = append(took, d.Seconds())
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("from the %s: %w", c.from, err)
		}
		st.Record(results.EstablishedPacket, c.factors(), took...)
	}
	return nil
}
