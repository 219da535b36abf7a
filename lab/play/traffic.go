package play

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/workload"
)

// trafficStep lets a steady client make requests.
func trafficStep() step {
	return step{name: "traffic", usage: "RATE fresh|reuse|again [from client|node|pod] [to vip|nodeport[@link|@loopback]] [over tcp|udp] | off",
		help: "requests a second, open loop, in the place of the traffic before, from fresh ports, from a few in turn, or from those of the traffic before again; off waits for what is under way", words: -1, parse: parseTraffic, check: (*course).dial,
		do: func(p *player, s Step) error {
			if s.Value == "off" {
				return p.stopTraffic()
			}
			return p.startTraffic(s)
		}}
}

// dial notes traffic, if it can run.
func (c *course) dial(s Step) error {
	switch {
	case s.Value == "off":
		c.traffic = false
		return nil
	case strings.HasPrefix(s.To, ToNodePort) && !c.exposed():
		return errors.New("traffic to a node port goes after the step expose")
	case s.Value == "again" && !c.reused:
		return errors.New("the traffic before reuses no ports that could be used again")
	case s.From == FromPod && len(c.svc.Endpoints) == 0:
		return errors.New("the Service has no endpoint that traffic could start from")
	}
	c.traffic, c.reused = true, s.Value != "fresh"
	return nil
}

// Where traffic starts, and what it dials.
const (
	FromClient, FromNode, FromPod = "client", "node", "pod"
	ToVIP, ToNodePort             = "vip", "nodeport"
	// The node port at another address of the node: that of its link to the client, and
	// 127.0.0.1.
	ToLink, ToLoopback = ToNodePort + "@link", ToNodePort + "@loopback"
)

// Traffic: how many threads make requests (a prime, or round robin would give
// each thread a server of its own), how many at most where requests wait for answers, and how
// long one waits. Fresh ports come round when all of them were used; of reused ones each thread
// has a few, and there come no more threads, since a port is not free while it waits for an
// answer.
const (
	workers         = 7
	mostWorkers     = 512
	patience        = 2 * time.Second
	firstFreshPort  = 1100
	firstReusedPort = 61000
	portsEach       = 12
)

// freshPort is that of a scenario's request, by how many before it had a fresh one.
func freshPort(n int) int { return firstFreshPort + n%(firstReusedPort-firstFreshPort) }

// reusedPorts is the first of those that a scenario's traffic reuses, by how much traffic
// there was before it.
func reusedPorts(before int) int {
	const each = workers * portsEach
	return firstReusedPort + before%((1<<16-firstReusedPort)/each)*each
}

// lateBy is how much later than it was due a request may be sent, and be in time.
const lateBy = 100 * time.Millisecond

// traffic is a steady client of the Service that changes.
type traffic struct {
	stop     func()
	finished chan error
	// sender is the address that requests start from.
	sender netip.Addr
	// over is their protocol; external is set if they go to an address or port outside of the
	// cluster, from outside of it.
	over     modes.Protocol
	external bool
	// reused is the first of the ports that are used again and again, 0 if none is; fresh how
	// many fresh ones traffic before used.
	reused, fresh int
	rate          float64
	// begun and ended are when requests were due, from the scenario's start.
	begun, ended time.Duration
	requests     []workload.Request
	answers      []workload.Answer
}

// due are the first request that was due in a span of time, and the one after the last.
func (t *traffic) due(from, until time.Duration) (first, end int) {
	at := func(d time.Duration) int { return max(int(math.Ceil((d-t.begun).Seconds()*t.rate)), 0) }
	return at(from), max(at(from), at(min(until, t.ended)))
}

// inTime tells whether a request was sent before a time, or soon after it was due, or could
// still have been when the traffic ended.
func (t *traffic) inTime(i int, until time.Duration) bool {
	if i >= len(t.requests) || t.requests[i].Done == 0 {
		_, recent := t.due(0, t.ended-lateBy)
		return i >= recent
	}
	return t.requests[i].Sent < until || t.requests[i].Sent-t.requests[i].Intended < lateBy
}

// dialed is what clients dial: of mode direct an endpoint.
func (p *player) dialed(s Step) netip.AddrPort {
	if p.About.Baseline {
		return netip.AddrPortFrom(p.history[0].svc.Endpoints[0].Addr, p.Synth.TargetPort())
	}
	at := topo.Of(modes.IPv4)
	switch s.To {
	case ToNodePort:
		return netip.AddrPortFrom(at.Node.Addr(), p.nodePort)
	case ToLink:
		return netip.AddrPortFrom(at.ToClient.Addr(), p.nodePort)
	case ToLoopback:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.nodePort)
	}
	return trial.FrontOver(p.svc, s.Over)
}

// startTraffic starts a client in the place of the one before.
func (p *player) startTraffic(s Step) error {
	if err := p.stopTraffic(); err != nil {
		return err
	}
	if p.last == "phase" {
		// The requests of the traffic before are none of the phase's.
		p.phases[len(p.phases)-1].at = p.since()
	}
	at := topo.Of(modes.IPv4)
	t := &traffic{sender: at.Client.Addr(), finished: make(chan error, 1)}
	ns, source := p.Net.Client, netip.Addr{}
	switch s.From {
	case FromNode:
		ns, t.sender = p.Net.Node, at.Node.Addr()
	case FromPod:
		if len(p.svc.Endpoints) == 0 {
			return errors.New("the Service has no endpoint that traffic could start from")
		}
		t.sender = p.svc.Endpoints[0].Addr
		ns, source = p.Net.Backend, t.sender
	}
	t.over, t.external = s.Over, s.To != ToVIP && s.From == FromClient && !p.snap.ClusterCIDR.Contains(t.sender)
	t.rate = float64(s.N)
	length := p.script.Length() + time.Minute
	t.answers = make([]workload.Answer, int(t.rate*length.Seconds()))
	threads := workload.Workers{From: workers, Most: min(workers+s.N*int(patience/time.Second), mostWorkers)}
	switch {
	case s.Value == "reuse":
		t.reused = reusedPorts(len(p.traffic))
	case s.Value == "again":
		t.reused = p.traffic[len(p.traffic)-1].reused
	}
	if t.reused > 0 {
		threads.Most = threads.From
	}
	for _, before := range p.traffic {
		t.fresh += len(before.requests)
	}
	ask := t.asker(s.Over, source, p.dialed(s))
	var ctx context.Context
	ctx, t.stop = context.WithCancel(p.ctx)
	t.begun = p.since()
	p.traffic = append(p.traffic, t)
	go t.run(ctx, threads, length, ns.Go, ask)
	return nil
}

// asker makes one request from an address, on a thread.
func (t *traffic) asker(over modes.Protocol, source netip.Addr, to netip.AddrPort) func(ctx context.Context, w, i int) (workload.Answer, error) {
	turn := make([]int, workers) // of each thread's ports
	return func(ctx context.Context, w, i int) (workload.Answer, error) {
		if t.reused > 0 && over != modes.UDP {
			port := t.reused + w*portsEach + turn[w]%portsEach
			turn[w]++
			one := workload.Reuse(ctx, source, to, []uint16{uint16(port)})
			if len(one) == 0 {
				return workload.Answer{}, ctx.Err()
			}
			return one[0].Answer, one[0].Err
		}
		port := freshPort(t.fresh + i)
		if t.reused > 0 {
			port = t.reused + w // one flow each thread: datagrams from the same port, all along
		}
		one := workload.NewProber(uint16(port))
		one.Wait, one.Source = patience, source
		return one.AskBoth(over, to)
	}
}

// serving are the endpoints of a Service that may answer the traffic.
func (t *traffic) serving(svc *modes.Service) []modes.Endpoint {
	for _, sp := range svc.Ports {
		if sp.Protocol != t.over {
			continue
		}
		r := svc.Reach(sp)
		if svc.InternalLocal && !t.external || svc.ExternalLocal && t.external {
			return r.Local
		}
		return r.Cluster
	}
	return nil
}

// run makes the requests until the context ends. Their times count from the
// scenario's start, as the traffic's do.
func (t *traffic) run(ctx context.Context, threads workload.Workers, length time.Duration, spawn func(func()) error, ask func(ctx context.Context, w, i int) (workload.Answer, error)) {
	var mu sync.Mutex
	requests, err := workload.SteadyDo(ctx, t.rate, threads, length, spawn, func(w, i int) error {
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
		requests[i].Intended += t.begun
		requests[i].Sent += t.begun
		requests[i].Done += t.begun
	}
	t.requests = requests
	t.finished <- err
}

// stopTraffic ends the traffic that runs.
func (p *player) stopTraffic() error {
	if len(p.traffic) == 0 {
		return nil
	}
	t := p.traffic[len(p.traffic)-1]
	if t.finished == nil {
		return nil
	}
	t.ended = p.since()
	t.stop()
	err := <-t.finished
	t.finished = nil
	_, end := t.due(t.begun, t.ended)
	t.requests = t.requests[:min(end, len(t.requests))]
	return err
}

// parseTraffic reads "RATE fresh|reuse|again [from WHERE] [to WHAT]" or "off".
func parseTraffic(s *Step, args []string) (err error) {
	if slices.Equal(args, []string{"off"}) {
		s.Value = args[0]
		return nil
	}
	if len(args) < 2 || len(args)%2 != 0 {
		return fmt.Errorf("want traffic RATE fresh|reuse|again [from client|node|pod] [to vip|nodeport] [over tcp|udp], got %q", strings.Join(args, " "))
	}
	if s.N, err = number(args[0], 1, 2000); err != nil {
		return err
	}
	if s.Value = args[1]; !slices.Contains([]string{"fresh", "reuse", "again"}, s.Value) {
		return fmt.Errorf("traffic uses fresh ports, reuses some, or uses those of the traffic before again, not %q", s.Value)
	}
	s.From, s.To, s.Over = FromClient, ToVIP, modes.TCP
	for i := 2; i < len(args); i += 2 {
		switch word, value := args[i], args[i+1]; {
		case word == "from" && slices.Contains([]string{FromClient, FromNode, FromPod}, value):
			s.From = value
		case word == "to" && slices.Contains([]string{ToVIP, ToNodePort, ToLink, ToLoopback}, value):
			s.To = value
		case word == "over" && slices.Contains([]modes.Protocol{modes.TCP, modes.UDP}, modes.Protocol(value)):
			s.Over = modes.Protocol(value)
		default:
			return fmt.Errorf("traffic goes from client, node or pod, to vip, %s, %s or %s, over tcp or udp, not %s %s", ToNodePort, ToLink, ToLoopback, word, value)
		}
	}
	if s.To == ToLoopback && s.From != FromNode {
		return fmt.Errorf("traffic to %s goes from the node alone", ToLoopback)
	}
	return nil
}
