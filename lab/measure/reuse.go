package measure

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// Reuse lets a client use its local ports again while the kernel still remembers their
// flows, under every setting of the kernel that matters to that.
func Reuse() trial.Measurement {
	return trial.Measurement{
		Name: "reused ports",
		Wanted: func(st *trial.Stage) bool {
			_, can := modes.PartFor(st.Proxier, modes.IPv4).(modes.Tunable)
			return st.Plan.Reuse && can
		},
		Run: reuse,
	}
}

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
func reuse(ctx context.Context, st *trial.Stage) error {
	svc := st.Service(0)
	tune, ok := st.PartOf(svc).(modes.Tunable)
	if !ok {
		return fmt.Errorf("mode %s has no settings that matter to ports that are used again", st.Mode)
	}
	port := firstReusePort
	for values := range combinations(tune.Settings()) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		st.Step("reused ports, %s", modes.Args(values))
		if err := st.Net.Node.Do(func() error { return tune.Set(values) }); err != nil {
			return err
		}
		if err := reuseUnder(ctx, st, svc, values, port); err != nil {
			return err
		}
		port += reusedPorts
	}
	return st.Net.Node.Do(func() error { return tune.Set(nil) })
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

func reuseUnder(ctx context.Context, st *trial.Stage, svc *modes.Service, values map[string]string, firstPort int) error {
	ports := make([]uint16, reusedPorts)
	for i := range ports {
		ports[i] = uint16(firstPort + i)
	}
	gone := svc.Endpoints[0]
	_ = reuseRound(ctx, st, svc, ports) // makes the flows that the rest meets again
	phases := []struct {
		name   string
		change func(modes.Drainer) error
	}{{"all servers", nil}}
	drainer, ok := st.PartOf(svc).(modes.Drainer)
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
			if err := st.Net.Node.Do(func() error { return phase.change(drainer) }); err != nil {
				return err
			}
		}
		start := time.Now()
		list := reuseRound(ctx, st, svc, ports)
		recordReuse(st, values, phase.name, list, gone.Addr, time.Since(start))
	}
	if !ok {
		return nil
	}
	return st.Net.Node.Do(func() error { return drainer.Readmit(svc, gone) })
}

func reuseRound(ctx context.Context, st *trial.Stage, svc *modes.Service, ports []uint16) (list []workload.Reused) {
	_ = st.Net.Client.Do(func() error { list = workload.Reuse(ctx, netip.Addr{}, trial.Front(svc), ports); return nil })
	return list
}

func recordReuse(st *trial.Stage, f map[string]string, phase string, list []workload.Reused, gone netip.Addr, took time.Duration) {
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
	st.Record(results.ReuseConnect, with, connects...)
	st.Record(results.ReuseSlow, with, float64(slow)/n)
	st.Record(results.ReuseFailed, with, float64(failed)/n)
	st.Record(results.ReuseRate, with, float64(len(list)-failed)/took.Seconds())
	if phase != "all servers" {
		st.Record(results.ReuseStale, with, float64(stale)/n)
	}
}
