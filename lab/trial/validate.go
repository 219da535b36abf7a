package trial

import (
	"errors"
	"fmt"
	"net/netip"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/snapshot/given"
	"viplab/workload"
)

// Level is the significance level of the chi-square test on the choice among
// endpoints: a mode that chooses evenly fails it once in a million trials.
const Level = 1e-6

// asksPerEndpoint is the expected count in each cell of that test.
const asksPerEndpoint = 50

// Target is where a probe of a Service goes over TCP: its VIP, or without Services one of
// its endpoints.
func (st *Stage) Target(svc *modes.Service) netip.AddrPort { return st.TargetOver(svc, modes.TCP) }

// TargetOver is where a probe of a Service goes over a protocol.
func (st *Stage) TargetOver(svc *modes.Service, proto modes.Protocol) netip.AddrPort {
	if p, list, ok := given.Answers(svc, proto); ok && st.About.Baseline {
		return list[st.Rand.IntN(len(list))].At(p)
	}
	return FrontOver(svc, proto)
}

// Ask asks a server behind an address from a namespace, and says which answered.
func (st *Stage) Ask(ns *topo.Namespace, p *workload.Prober, proto modes.Protocol, to netip.AddrPort) (from netip.Addr, err error) {
	err = ns.Do(func() error {
		from, err = p.Ask(proto, to)
		return err
	})
	return from, err
}

// Validate proves that the mode forwards as it should; whole adds the random
// sample of Services and the choice among endpoints.
func (st *Stage) Validate(whole bool) error {
	n := st.Count()
	home, prober := st.Home()
	sample := []int{0, (n - 1) / 2, n - 1}
	if whole {
		for range 20 {
			sample = append(sample, st.Rand.IntN(n))
		}
	}
	for _, i := range sample {
		// A dual-stack Service is answered over both families.
		for _, svc := range st.parts(i) {
			if err := st.RightEndpoint(home, prober, modes.TCP, svc); err != nil {
				return err
			}
		}
	}
	if err := st.Unanswered(st.Spare()); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	for _, svc := range sampled(st.overUDP()) {
		if err := st.RightEndpoint(home, prober, modes.UDP, svc); err != nil {
			return err
		}
	}
	if st.NodeServed() {
		for _, i := range []int{0, n - 1} {
			if err := st.RightEndpoint(st.Net.Node, st.InNode, modes.TCP, st.Service(i)); err != nil {
				return fmt.Errorf("from the node: %w", err)
			}
		}
	}
	if svc := st.Many(); svc != nil && st.EvenChoices() {
		return st.evenChoice(svc)
	}
	return nil
}

// sampled is at most some of a list, evenly spread and with its first and last.
func sampled(list []*modes.Service) []*modes.Service {
	const most = 16
	if len(list) <= most {
		return list
	}
	out := make([]*modes.Service, most)
	for i := range out {
		out[i] = list[i*(len(list)-1)/(most-1)]
	}
	return out
}

// RightEndpoint proves that a Service is answered by one of its endpoints.
func (st *Stage) RightEndpoint(ns *topo.Namespace, p *workload.Prober, proto modes.Protocol, svc *modes.Service) error {
	from, err := st.Ask(ns, p, proto, st.TargetOver(svc, proto))
	if err != nil {
		return fmt.Errorf("service %s: %w", svc.Key(), err)
	}
	return st.IsRight(svc, from)
}

// IsRight tells whether an answer is from an endpoint of the Service. Where packets
// are left as they are, the endpoint was reached at the VIP.
func (st *Stage) IsRight(svc *modes.Service, from netip.Addr) error {
	if st.Traits.DirectServerReturn && from == svc.ClusterIP || svc.Index(from) >= 0 {
		return nil
	}
	return fmt.Errorf("service %s was answered by %s, which is none of its endpoints", svc.Key(), from)
}

// Unanswered proves that nobody serves an address.
func (st *Stage) Unanswered(to netip.AddrPort) error {
	home, prober := st.Home()
	if home.Do(func() error { return prober.Accepted(to) }) != nil {
		return nil
	}
	if from, err := st.Ask(home, prober, modes.TCP, to); err == nil {
		return fmt.Errorf("%s is no service, but %s answered", to, from)
	}
	return nil
}

// evenChoice tests the hypothesis that every endpoint is equally likely.
func (st *Stage) evenChoice(svc *modes.Service) error {
	e := len(svc.Endpoints)
	seen, err := st.Choices(svc, e*asksPerEndpoint)
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
