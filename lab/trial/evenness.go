package trial

import (
	"context"
	"fmt"
	"net/netip"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
)

// evenChoices tells whether a scheduler is meant to give every real server the same
// share of one client's connections. The others send a client, or a VIP, to one
// server, or go by connections that are open at the same time.
func evenChoices(scheduler string) bool {
	return scheduler == "" || scheduler == "rr" || scheduler == "wrr"
}

// evenness records how even the choice among a Service's endpoints is: the share of
// the busiest over the mean, 1 when all are alike.
func (r *run) evenness(context.Context) error {
	if r.Mode == catalog.Direct || r.Synth.Endpoints < 2 || r.Scheduler == "" {
		return nil
	}
	svc := r.snap.Services[(len(r.snap.Services)-1)/2]
	seen := map[netip.Addr]int{}
	n := asksPerEndpoint * len(svc.Endpoints)
	most := 0
	for range n {
		from, err := r.ask(r.net.Client, r.prober, modes.TCP, front(svc))
		if err != nil {
			return fmt.Errorf("service %s: %w", svc.Key(), err)
		}
		seen[from]++
		most = max(most, seen[from])
	}
	r.record(results.Evenness, nil, float64(most)*float64(len(svc.Endpoints))/float64(n))
	return nil
}
