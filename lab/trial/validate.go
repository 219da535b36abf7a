package trial

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/synth"
	"viplab/workload"
)

// Level is the significance level of the chi-square test on the choice among
// endpoints: a mode that chooses evenly fails it once in a million trials.
const Level = 1e-6

// asksPerEndpoint is the expected count in each cell of that test.
const asksPerEndpoint = 50

func front(svc *modes.Service) netip.AddrPort {
	return netip.AddrPortFrom(svc.ClusterIP, synth.FirstPort)
}

// target is where a probe of a Service goes: its VIP, or in mode direct one of
// its endpoints.
func (r *run) target(svc *modes.Service) netip.AddrPort {
	if r.about.Baseline {
		return netip.AddrPortFrom(svc.Endpoints[r.rng.IntN(len(svc.Endpoints))].Addr, r.Synth.TargetPort())
	}
	return front(svc)
}

func (r *run) ask(ns *topo.Namespace, p *workload.Prober, proto modes.Protocol, to netip.AddrPort) (from netip.Addr, err error) {
	err = ns.Do(func() error {
		from, err = p.Ask(proto, to)
		return err
	})
	return from, err
}

// validate proves that the mode forwards as it should; whole adds the random
// sample of Services and the choice among endpoints.
func (r *run) validate(whole bool) error {
	n := r.count()
	sample := []int{0, (n - 1) / 2, n - 1}
	if whole {
		for range 20 {
			sample = append(sample, r.rng.IntN(n))
		}
	}
	for _, i := range sample {
		// A dual-stack Service is answered over both families.
		for _, svc := range r.snap.Services[i*r.Synth.Width() : (i+1)*r.Synth.Width()] {
			if err := r.rightEndpoint(r.net.Client, r.prober, modes.TCP, svc); err != nil {
				return err
			}
		}
	}
	if err := r.unanswered(netip.AddrPortFrom(r.Synth.VIP(n+1000), synth.FirstPort)); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	for _, i := range r.Synth.UDPPositions() {
		if err := r.rightEndpoint(r.net.Client, r.prober, modes.UDP, r.service(i)); err != nil {
			return err
		}
	}
	if r.toNode() {
		for _, i := range []int{0, n - 1} {
			if err := r.rightEndpoint(r.net.Node, r.inNode, modes.TCP, r.service(i)); err != nil {
				return fmt.Errorf("from the node: %w", err)
			}
		}
	}
	if !r.evenChoices() {
		return nil
	}
	return r.evenChoice(r.service((n - 1) / 2))
}

func (r *run) rightEndpoint(ns *topo.Namespace, p *workload.Prober, proto modes.Protocol, svc *modes.Service) error {
	from, err := r.ask(ns, p, proto, r.target(svc))
	if err != nil {
		return fmt.Errorf("service %s: %w", svc.Key(), err)
	}
	return r.isRight(svc, from)
}

// isRight tells whether an answer is from an endpoint of the Service. Where packets
// are left as they are, the endpoint was reached at the VIP.
func (r *run) isRight(svc *modes.Service, from netip.Addr) error {
	if r.traits.DirectServerReturn && from == svc.ClusterIP || svc.Index(from) >= 0 {
		return nil
	}
	return fmt.Errorf("service %s was answered by %s, which is none of its endpoints", svc.Key(), from)
}

// unanswered proves that nobody serves an address.
func (r *run) unanswered(to netip.AddrPort) error {
	if from, err := r.ask(r.net.Client, r.prober, modes.TCP, to); err == nil {
		return fmt.Errorf("%s is no service, but %s answered", to, from)
	}
	return nil
}

// evenChoice tests the hypothesis that every endpoint is equally likely.
func (r *run) evenChoice(svc *modes.Service) error {
	e := len(svc.Endpoints)
	if e < 2 {
		return nil
	}
	seen, err := r.choices(svc, e*asksPerEndpoint)
	if err != nil {
		return err
	}
	want := make([]float64, e)
	for i := range want {
		want[i] = asksPerEndpoint
	}
	p := distuv.ChiSquared{K: float64(e - 1)}.Survival(stat.ChiSquare(seen, want))
	if p < Level {
		return errors.New("the choice among endpoints is not even: " + fmt.Sprintf("%v answers of %d endpoints, chi-square p = %.2g below %g", seen, e, p, Level))
	}
	return nil
}

// choices asks a Service n times and counts the answers of each of its endpoints.
// Where packets are left as they are, the answers do not tell; the kernel's count of
// connections to each real server does.
func (r *run) choices(svc *modes.Service, n int) ([]float64, error) {
	seen := make([]float64, len(svc.Endpoints))
	var before []float64
	if r.traits.DirectServerReturn {
		var err error
		if before, err = r.kernelCount(svc); err != nil {
			return nil, err
		}
	}
	for range n {
		from, err := r.ask(r.net.Client, r.prober, modes.TCP, r.target(svc))
		if err == nil {
			err = r.isRight(svc, from)
		}
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", svc.Key(), err)
		}
		if i := svc.Index(from); i >= 0 {
			seen[i]++
		}
	}
	if !r.traits.DirectServerReturn {
		return seen, nil
	}
	after, err := r.kernelCount(svc)
	for i := range after {
		seen[i] = after[i] - before[i]
	}
	return seen, err
}

// kernelCount is how many connections the kernel has given to each endpoint of a
// Service's first port.
func (r *run) kernelCount(svc *modes.Service) (n []float64, err error) {
	counter, ok := r.ofService(svc).(modes.ConnectionCounter)
	if !ok {
		return nil, fmt.Errorf("mode %s does not count connections, and answers do not tell who gave them", r.Mode)
	}
	err = r.net.Node.Do(func() error {
		n, err = counter.Connections(context.Background(), svc)
		return err
	})
	return n, err
}
