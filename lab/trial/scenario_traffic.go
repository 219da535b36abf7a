package trial

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"viplab/lab/scenario"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/workload"
)

// Scenario traffic: how many threads make requests (a prime, or round robin would give
// each thread a server of its own), how long one waits, how many ports each thread has
// when ports are reused, and the node port that is dialled.
const (
	scenarioWorkers  = 7
	scenarioWait     = 2 * time.Second
	scenarioPorts    = 12
	scenarioNodePort = 30080
)

// traffic is a steady client of one scenario.
type traffic struct {
	stop     func()
	finished chan error
	// sender is the address that requests start from.
	sender   netip.Addr
	requests []workload.Request
	answers  []workload.Answer
}

// dialed is what clients dial: of mode direct an endpoint.
func (p *play) dialed(to string) netip.AddrPort {
	switch {
	case p.about.Baseline:
		return netip.AddrPortFrom(p.history[0].svc.Endpoints[0].Addr, p.Synth.TargetPort())
	case to == scenario.ToNodePort:
		return netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), p.nodePort)
	}
	return front(p.svc)
}

// startTraffic starts a client in the place of the one before.
func (p *play) startTraffic(s scenario.Step) error {
	if err := p.stopTraffic(); err != nil {
		return err
	}
	if p.last == "phase" {
		// The requests of the traffic before are none of the phase's.
		p.phases[len(p.phases)-1].at = p.since()
	}
	at := topo.Of(modes.IPv4)
	t := &traffic{sender: at.Client.Addr(), finished: make(chan error, 1)}
	ns, source := p.net.Client, netip.Addr{}
	switch s.From {
	case scenario.FromNode:
		ns, t.sender = p.net.Node, at.Node.Addr()
	case scenario.FromPod:
		if len(p.svc.Endpoints) == 0 {
			return errors.New("the Service has no endpoint that traffic could start from")
		}
		t.sender = p.svc.Endpoints[0].Addr
		ns, source = p.net.Backend, t.sender
	}
	length := p.Plan.Script.Length() + time.Minute
	t.answers = make([]workload.Answer, int(float64(s.N)*length.Seconds()))
	probers := make([]*workload.Prober, scenarioWorkers)
	for i := range probers {
		// Each traffic and thread has ports of its own.
		probers[i] = workload.NewProber(uint16(1100 + i*2000 + len(p.traffic)*16000%48000))
		probers[i].Wait, probers[i].Source = scenarioWait, source
	}
	to, reuse := p.dialed(s.To), s.Value == "reuse"
	first := firstReusePort + len(p.traffic)*scenarioWorkers*scenarioPorts%40000
	ask := func(ctx context.Context, w, i int) (workload.Answer, error) {
		if !reuse {
			return probers[w].AskBoth(modes.TCP, to)
		}
		one := workload.Reuse(ctx, to, []uint16{uint16(first + w*scenarioPorts + (i/scenarioWorkers)%scenarioPorts)})
		if len(one) == 0 {
			return workload.Answer{}, ctx.Err()
		}
		return one[0].Answer, one[0].Err
	}
	var ctx context.Context
	ctx, t.stop = context.WithCancel(p.ctx)
	p.traffic = append(p.traffic, t)
	go t.run(ctx, p.since(), float64(s.N), length, ns.Go, ask)
	return nil
}

// run makes the requests until the context ends. Their times count from the
// scenario's start, begun before the traffic's.
func (t *traffic) run(ctx context.Context, begun time.Duration, rate float64, length time.Duration, spawn func(func()) error, ask func(context.Context, int, int) (workload.Answer, error)) {
	var mu sync.Mutex
	requests, err := workload.SteadyDo(ctx, rate, scenarioWorkers, length, spawn, func(w, i int) error {
		a, err := ask(ctx, w, i)
		mu.Lock()
		defer mu.Unlock()
		t.answers[i] = a
		return err
	})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	for i := range requests {
		if requests[i].Done == 0 {
			continue // was never made
		}
		requests[i].Intended += begun
		requests[i].Sent += begun
		requests[i].Done += begun
	}
	t.requests = requests
	t.finished <- err
}

// stopTraffic ends the traffic that runs.
func (p *play) stopTraffic() error {
	if len(p.traffic) == 0 {
		return nil
	}
	t := p.traffic[len(p.traffic)-1]
	if t.finished == nil {
		return nil
	}
	t.stop()
	err := <-t.finished
	t.finished = nil
	return err
}
