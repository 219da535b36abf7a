package trial

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"time"

	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

const (
	// reusedPorts is how many local ports a client uses again and again, under each
	// setting others, since IPVS remembers a flow for two minutes.
	reusedPorts    = 40
	firstReusePort = 20000
	// A connect between these was a SYN that was dropped and sent again.
	slowFrom, slowTo = 950 * time.Millisecond, 1500 * time.Millisecond
)

// reuse lets a client use its local ports again while the kernel still remembers their
// flows: under every combination of the settings that decide what happens then, with
// all endpoints in place, with one drained, and with it removed.
func (r *run) reuse(ctx context.Context) error {
	svc := r.service(0)
	tune, ok := r.ofService(svc).(modes.Tunable)
	if !r.Plan.Reuse || !ok {
		return nil
	}
	port := firstReusePort
	for values := range combinations(tune.Settings()) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.step("reused ports, %s", modes.Args(values))
		if err := r.net.Node.Do(func() error { return tune.Set(values) }); err != nil {
			return err
		}
		if err := r.reuseUnder(ctx, svc, values, port); err != nil {
			return err
		}
		port += reusedPorts
	}
	return r.net.Node.Do(func() error { return tune.Set(nil) })
}

// combinations yields every combination of settings; the last one changes fastest.
func combinations(settings []modes.Setting) iter.Seq[map[string]string] {
	return func(yield func(map[string]string) bool) {
		total := 1
		for _, s := range settings {
			total *= len(s.Values)
		}
		for i := range total {
			values, rest := map[string]string{}, i
			for _, s := range slices.Backward(settings) {
				values[s.Name] = s.Values[rest%len(s.Values)]
				rest /= len(s.Values)
			}
			if !yield(values) {
				return
			}
		}
	}
}

func (r *run) reuseUnder(ctx context.Context, svc *modes.Service, values map[string]string, firstPort int) error {
	ports := make([]uint16, reusedPorts)
	for i := range ports {
		ports[i] = uint16(firstPort + i)
	}
	gone := svc.Endpoints[0]
	_ = r.reuseRound(ctx, svc, ports) // makes the flows that the rest meets again
	phases := []struct {
		name   string
		change func(modes.Drainer) error
	}{{"all servers", nil}}
	drainer, ok := r.ofService(svc).(modes.Drainer)
	if ok {
		phases = append(phases, []struct {
			name   string
			change func(modes.Drainer) error
		}{
			{"weight 0", func(d modes.Drainer) error { return d.Drain(svc, gone) }},
			{"removed", func(d modes.Drainer) error { return d.Evict(svc, gone) }},
		}...)
	}
	for _, phase := range phases {
		if phase.change != nil {
			if err := r.net.Node.Do(func() error { return phase.change(drainer) }); err != nil {
				return err
			}
		}
		start := time.Now()
		list := r.reuseRound(ctx, svc, ports)
		r.recordReuse(values, phase.name, list, gone.Addr, time.Since(start))
	}
	if !ok {
		return nil
	}
	return r.net.Node.Do(func() error { return drainer.Readmit(svc, gone) })
}

func (r *run) reuseRound(ctx context.Context, svc *modes.Service, ports []uint16) (list []workload.Reused) {
	_ = r.net.Client.Do(func() error { list = workload.Reuse(ctx, front(svc), ports); return nil })
	return list
}

func (r *run) recordReuse(f map[string]string, phase string, list []workload.Reused, gone netip.Addr, took time.Duration) {
	with := map[string]string{results.Phase: phase}
	for k, v := range f {
		with[k] = v
	}
	var connects []float64
	slow, failed, stale := 0, 0, 0
	for _, c := range list {
		switch {
		case c.Err != nil:
			failed++
			continue
		case c.Connect >= slowFrom && c.Connect <= slowTo:
			slow++
		}
		connects = append(connects, c.Connect.Seconds())
		if c.Endpoint == gone {
			stale++
		}
	}
	n := float64(max(1, len(list)))
	r.record(results.ReuseConnect, with, connects...)
	r.record(results.ReuseSlow, with, float64(slow)/n)
	r.record(results.ReuseFailed, with, float64(failed)/n)
	r.record(results.ReuseRate, with, float64(len(list)-failed)/took.Seconds())
	if phase != "all servers" {
		r.record(results.ReuseStale, with, float64(stale)/n)
	}
}
