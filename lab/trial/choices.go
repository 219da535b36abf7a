package trial

import (
	"fmt"
	"net/netip"
	"time"

	"viplab/modes"
)

// EvenChoices tells whether every endpoint is meant to have the same share of one
// client's connections.
func (st *Stage) EvenChoices() bool {
	return st.Synth.Affinity == 0 && st.Traits.Choice.Even(len(st.Synth.Weights) > 0)
}

// lookEvery is how often the kernel is asked for connections that it has not told yet: it
// forgets them after ten seconds.
const lookEvery = 4 * time.Second

// Choices asks a Service n times and counts the answers of each of its endpoints.
// Where packets are left as they are, the answers do not tell; the kernel's table of
// connections does.
func (st *Stage) Choices(svc *modes.Service, n int) ([]float64, error) {
	seen := make([]float64, len(svc.Endpoints))
	told := map[netip.AddrPort]bool{}
	if st.Traits.DirectServerReturn { // what is there already
		if err := st.look(svc, told, make([]float64, len(seen))); err != nil {
			return nil, err
		}
	}
	home, prober := st.Home()
	looked := time.Now()
	for range n {
		from, err := st.Ask(home, prober, modes.TCP, st.Target(svc))
		if err == nil {
			err = st.IsRight(svc, from)
		}
		if err == nil && st.Traits.DirectServerReturn && time.Since(looked) > lookEvery {
			err, looked = st.look(svc, told, seen), time.Now()
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
	return seen, st.look(svc, told, seen)
}

// look counts the connections to a Service that the kernel has not told yet, by endpoint.
func (st *Stage) look(svc *modes.Service, told map[netip.AddrPort]bool, seen []float64) error {
	lister, ok := st.PartOf(svc).(modes.ConnectionLister)
	if !ok {
		return fmt.Errorf("mode %s does not list connections, and answers do not tell who gave them", st.Mode)
	}
	return st.Net.Node.Do(func() error {
		list, err := lister.Connections(svc)
		for client, endpoint := range list {
			if i := svc.Index(endpoint); i >= 0 && !told[client] {
				told[client] = true
				seen[i]++
			}
		}
		return err
	})
}
