package trial

import (
	"context"
	"fmt"

	"viplab/modes"
)

// EvenChoices tells whether every endpoint is meant to have the same share of one
// client's connections.
func (st *Stage) EvenChoices() bool {
	return st.Synth.Affinity == 0 && st.Traits.Choice.Even(len(st.Synth.Weights) > 0)
}

// Choices asks a Service n times and counts the answers of each of its endpoints.
// Where packets are left as they are, the answers do not tell; the kernel's count of
// connections to each real server does.
func (st *Stage) Choices(svc *modes.Service, n int) ([]float64, error) {
	seen := make([]float64, len(svc.Endpoints))
	var before []float64
	if st.Traits.DirectServerReturn {
		var err error
		if before, err = st.kernelCount(svc); err != nil {
			return nil, err
		}
	}
	home, prober := st.Home()
	for range n {
		from, err := st.Ask(home, prober, modes.TCP, st.Target(svc))
		if err == nil {
			err = st.IsRight(svc, from)
		}
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", svc.Key(), err)
		}
		if i := svc.Index(from); i >= 0 {
			seen[i]++
		}
	}
	if !st.Traits.DirectServerReturn {
		return seen, nil
	}
	after, err := st.kernelCount(svc)
	for i := range after {
		seen[i] = after[i] - before[i]
	}
	return seen, err
}

// kernelCount is how many connections the kernel has given to each endpoint of a
// Service's first port.
func (st *Stage) kernelCount(svc *modes.Service) (n []float64, err error) {
	counter, ok := st.PartOf(svc).(modes.ConnectionCounter)
	if !ok {
		return nil, fmt.Errorf("mode %s does not count connections, and answers do not tell who gave them", st.Mode)
	}
	err = st.Net.Node.Do(func() error {
		n, err = counter.Connections(context.Background(), svc)
		return err
	})
	return n, err
}
