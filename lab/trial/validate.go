package trial

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
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
	if r.Mode == catalog.Direct {
		return netip.AddrPortFrom(svc.Endpoints[r.rng.IntN(len(svc.Endpoints))].Addr, synth.FirstTargetPort)
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
	n := len(r.snap.Services)
	sample := []int{0, (n - 1) / 2, n - 1}
	if whole {
		for range 20 {
			sample = append(sample, r.rng.IntN(n))
		}
	}
	for _, i := range sample {
		if err := r.rightEndpoint(r.net.Client, r.prober, modes.TCP, r.snap.Services[i]); err != nil {
			return err
		}
	}
	if err := r.unanswered(netip.AddrPortFrom(r.Synth.VIP(n+1000), synth.FirstPort)); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	for _, i := range r.Synth.UDPPositions() {
		if err := r.rightEndpoint(r.net.Client, r.prober, modes.UDP, r.snap.Services[i]); err != nil {
			return err
		}
	}
	for _, i := range []int{0, n - 1} {
		if err := r.rightEndpoint(r.net.Node, r.inNode, modes.TCP, r.snap.Services[i]); err != nil {
			return fmt.Errorf("from the node: %w", err)
		}
	}
	if !evenChoices(r.Scheduler) {
		return nil
	}
	return r.evenChoice(r.snap.Services[(n-1)/2])
}

func (r *run) rightEndpoint(ns *topo.Namespace, p *workload.Prober, proto modes.Protocol, svc *modes.Service) error {
	from, err := r.ask(ns, p, proto, r.target(svc))
	if err != nil {
		return fmt.Errorf("service %s: %w", svc.Key(), err)
	}
	if !slices.Contains(svc.Endpoints, modes.Endpoint{Addr: from}) {
		return fmt.Errorf("service %s was answered by %s, which is none of its endpoints", svc.Key(), from)
	}
	return nil
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
	seen, want := make([]float64, e), make([]float64, e)
	for range e * asksPerEndpoint {
		from, err := r.ask(r.net.Client, r.prober, modes.TCP, r.target(svc))
		if err != nil {
			return fmt.Errorf("service %s: %w", svc.Key(), err)
		}
		i := slices.Index(svc.Endpoints, modes.Endpoint{Addr: from})
		if i < 0 {
			return fmt.Errorf("service %s was answered by %s, which is none of its endpoints", svc.Key(), from)
		}
		seen[i]++
	}
	for i := range want {
		want[i] = asksPerEndpoint
	}
	p := distuv.ChiSquared{K: float64(e - 1)}.Survival(stat.ChiSquare(seen, want))
	if p < Level {
		return errors.New("the choice among endpoints is not even: " + fmt.Sprintf("%v answers of %d endpoints, chi-square p = %.2g below %g", seen, e, p, Level))
	}
	return nil
}
