package play

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"viplab/modes"
)

// The steps by which endpoints come and go.
func endpointSteps() []step {
	change := func(name, help string, check func(*course, int) error, do func(*player, int) error) step {
		return step{name: name, usage: "N", help: help, parse: count,
			check: func(c *course, s Step) error { return check(c, s.N) }, do: func(p *player, s Step) error { return do(p, s.N) }}
	}
	return []step{
		change("add", "endpoints come to the Service that the traffic goes to",
			func(c *course, n int) error { c.add(n); return nil }, func(p *player, n int) error { return p.change(n, 0) }),
		change("remove", "its oldest endpoints go", (*course).remove, func(p *player, n int) error { return p.change(0, n) }),
		change("replace", "as many come and go, in one sync",
			func(c *course, n int) error { err := c.remove(n); c.add(n); return err }, func(p *player, n int) error { return p.change(n, n) }),
		change("quiesce", "its oldest endpoints get no new connections and stay, in modes that can",
			func(c *course, n int) error { c.drained = max(c.drained, n); return c.has(n) }, (*player).quiesce),
		{name: "drain", usage: "N DURATION", help: "quiesce, and remove after that time",
			check: func(c *course, s Step) error { return c.remove(s.N) },
			parse: func(s *Step, args []string) (err error) {
				if s.N, err = number(args[0], 1, 100); err == nil {
					s.For, err = duration(args[1])
				}
				return err
			},
			do: func(p *player, s Step) error { return p.drain(s.N, s.For) }},
	}
}

// count reads the number of a step.
func count(s *Step, args []string) (err error) {
	s.N, err = number(args[0], 1, 100)
	return err
}

// change adds endpoints and removes the oldest, in one sync.
func (p *player) change(add, remove int) error {
	if remove > len(p.svc.Endpoints)+add {
		return fmt.Errorf("there are fewer endpoints than the %d to remove", remove)
	}
	svc := *p.svc
	svc.Endpoints = slices.Clone(svc.Endpoints)
	for range add {
		a := p.SpareEndpoint(p.spare)
		p.spare++
		p.added[a] = true
		svc.Endpoints = append(svc.Endpoints, modes.Endpoint{Addr: a})
	}
	var out []netip.Addr
	for _, ep := range svc.Endpoints[:remove] {
		out = append(out, ep.Addr)
	}
	svc.Endpoints = svc.Endpoints[remove:]
	if err := p.program(&svc); err != nil {
		return err
	}
	for _, a := range out {
		p.gone[a] = p.since()
	}
	return nil
}

// quiesce takes the oldest endpoints out of service and keeps them. Modes that cannot go
// on as before, and say so.
func (p *player) quiesce(n int) error {
	drainer, ok := p.PartOf(p.svc).(modes.Drainer)
	if !ok {
		if !p.About.Baseline && !p.undrained {
			p.undrained = true
			p.write(fmt.Sprintf("mode %s cannot keep an endpoint without new connections: quiesced ones go on as before", p.About.Name))
		}
		return nil
	}
	for _, ep := range p.svc.Endpoints[:min(n, len(p.svc.Endpoints))] {
		if err := p.Net.Node.Do(func() error { return drainer.Drain(p.svc, ep) }); err != nil {
			return err
		}
		p.quiet[ep.Addr] = p.since()
	}
	return nil
}

// drain takes the oldest endpoints out of service and removes them after a while.
// Few modes can keep one for the connections that it has while it gets no new one.
func (p *player) drain(n int, wait time.Duration) error {
	if err := p.quiesce(n); err != nil {
		return err
	}
	p.sleep(wait)
	return p.change(0, n)
}
