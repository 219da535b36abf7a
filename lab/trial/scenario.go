package trial

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"viplab/lab/scenario"
	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// play is a scenario that runs.
type play struct {
	*run
	ctx    context.Context
	start  time.Time
	svc    *modes.Service // that the traffic goes to
	snap   modes.Snapshot
	spare  int // endpoints added so far
	added  map[netip.Addr]bool
	gone   map[netip.Addr]time.Duration // since when an endpoint is removed
	quiet  map[netip.Addr]time.Duration // since when an endpoint has weight 0
	phases []phaseStart
	// history is what the Service was, since when.
	history []serviceSince
	last    string // step

	traffic  []*traffic // the last one runs
	kept     []int      // descriptors of connections kept open
	shown    int        // lines
	nodePort uint16
	writes   bool // the second writer has its chain
}

type serviceSince struct {
	at  time.Duration
	svc *modes.Service
}

// serviceAt is what the Service was at a time.
func (p *play) serviceAt(at time.Duration) *modes.Service {
	for _, h := range slices.Backward(p.history) {
		if h.at <= at {
			return h.svc
		}
	}
	return p.history[0].svc
}

type phaseStart struct {
	name string
	at   time.Duration
}

// scenario plays the plan's script.
func (r *run) scenario(ctx context.Context) error {
	if r.Plan.Script == nil {
		return nil
	}
	p := &play{run: r, ctx: ctx, start: time.Now(), snap: r.snap, svc: r.service((r.count() - 1) / 2),
		added: map[netip.Addr]bool{}, gone: map[netip.Addr]time.Duration{}, quiet: map[netip.Addr]time.Duration{}}
	defer p.closeKept()
	p.history = []serviceSince{{0, p.svc}}
	if err := p.prepare(); err != nil {
		return err
	}
	var err error
	for _, s := range r.Plan.Script.Steps {
		if err = errors.Join(err, ctx.Err()); err != nil {
			break
		}
		r.step("%s: %s %s", r.Plan.Script.Name, s.Do, s.Name)
		if err = p.do(s); err != nil {
			err = fmt.Errorf("step %s: %w", s.Do, err)
			break
		}
		p.last = s.Do
	}
	if stopErr := p.stopTraffic(); err == nil {
		err = stopErr
	}
	if err != nil {
		return err
	}
	p.report()
	if len(p.kept) > 0 {
		p.phase("end", "kept", p.keptShare())
	}
	return nil
}

// outsideRange is a range of pods that does not have the client in it.
var outsideRange = netip.MustParsePrefix("10.128.0.0/10")

// prepare sets up what the script needs before its first step.
func (p *play) prepare() error {
	if p.Plan.Script.FromPods() {
		if err := p.net.LetPodsDial(); err != nil {
			return err
		}
	}
	if !p.Plan.Script.Outside || p.about.Baseline {
		return nil
	}
	p.snap.ClusterCIDR = outsideRange
	// kube-proxy is started anew when its cluster range changes.
	if err := p.net.Node.Do(p.mode.Close); err != nil {
		return err
	}
	_, err := p.sync(p.ctx, p.snap)
	return err
}

func (p *play) since() time.Duration { return time.Since(p.start) }

func (p *play) do(s scenario.Step) error {
	switch s.Do {
	case "phase":
		p.phases = append(p.phases, phaseStart{s.Name, p.since()})
	case "wait":
		p.sleep(s.For)
	case "traffic":
		if s.Value == "off" {
			return p.stopTraffic()
		}
		return p.startTraffic(s)
	case "add":
		return p.change(s.N, 0)
	case "remove":
		return p.change(0, s.N)
	case "replace":
		return p.change(s.N, s.N)
	case "drain":
		return p.drain(s.N, s.For)
	case "quiesce":
		return p.quiesce(s.N)
	case "expose":
		p.nodePort = scenarioNodePort
		return p.alter(func(svc *modes.Service) {
			svc.Ports = slices.Clone(svc.Ports)
			svc.Ports[0].NodePort = scenarioNodePort
		})
	case "policy":
		return p.alter(func(svc *modes.Service) {
			svc.ExternalLocal = s.Value == "local"
			svc.Endpoints = slices.Clone(svc.Endpoints)
			for i := range svc.Endpoints {
				svc.Endpoints[i].Local = i < s.N
			}
		})
	case "append":
		return p.appendRules(s.N, s.Value)
	case "overlap":
		return p.overlap(s.N)
	case "show":
		return p.show()
	case "refresh":
		return p.refresh()
	case "keep":
		return p.keep(s.N)
	case "lock":
		return p.lock(s.For)
	case "sysctl":
		return p.sysctl(s.Name, s.Value)
	}
	return nil
}

// sysctl sets a sysctl of the node. Those of IPVS are not there in mode direct, which
// has no use for them.
func (p *play) sysctl(name, value string) error {
	if p.about.Baseline {
		return nil
	}
	return p.net.Node.Do(func() error {
		if err := os.WriteFile(filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/")), []byte(value), 0); err != nil {
			return fmt.Errorf("set sysctl %s to %s: %w", name, value, err)
		}
		return nil
	})
}

func (p *play) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// change adds endpoints and removes the oldest, in one sync.
func (p *play) change(add, remove int) error {
	if remove > len(p.svc.Endpoints)+add {
		return fmt.Errorf("there are no %d endpoints to remove", remove)
	}
	svc := *p.svc
	svc.Endpoints = slices.Clone(svc.Endpoints)
	for range add {
		a := p.Synth.SpareEndpoint(p.spare)
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

// program replaces the Service by a changed one.
func (p *play) program(svc *modes.Service) error {
	p.snap = p.snap.With(svc)
	if !p.about.Baseline {
		if _, err := p.sync(p.ctx, p.snap); err != nil {
			return err
		}
	}
	p.svc = svc
	p.history = append(p.history, serviceSince{p.since(), svc})
	return nil
}

// alter changes the Service otherwise than in its number of endpoints.
func (p *play) alter(change func(*modes.Service)) error {
	svc := *p.svc
	change(&svc)
	return p.program(&svc)
}

// quiesce takes the oldest endpoints out of service and keeps them. Modes that cannot go
// on as before.
func (p *play) quiesce(n int) error {
	drainer, ok := p.ofService(p.svc).(modes.Drainer)
	if !ok {
		return nil
	}
	for _, ep := range p.svc.Endpoints[:min(n, len(p.svc.Endpoints))] {
		if err := p.net.Node.Do(func() error { return drainer.Drain(p.svc, ep) }); err != nil {
			return err
		}
		p.quiet[ep.Addr] = p.since()
	}
	return nil
}

// drain takes the oldest endpoints out of service and removes them after a while.
// Few modes can keep one for the connections that it has while it gets no new one.
func (p *play) drain(n int, wait time.Duration) error {
	if err := p.quiesce(n); err != nil {
		return err
	}
	p.sleep(wait)
	return p.change(0, n)
}

func (p *play) refresh() error {
	m, ok := p.mode.(modes.Refresher)
	if !ok {
		return nil
	}
	return p.net.Node.Do(func() error { _, err := m.Refresh(p.ctx); return err })
}

// keep opens connections and leaves them open.
func (p *play) keep(n int) error {
	to := p.dialed(scenario.ToVIP)
	return p.net.Client.Do(func() error {
		for range n {
			fd, err := workload.Open(to)
			if err != nil {
				return err
			}
			p.kept = append(p.kept, fd)
		}
		return nil
	})
}

// keptShare is the share of kept connections that still answer.
func (p *play) keptShare() float64 {
	alive := 0
	_ = p.net.Client.Do(func() error {
		for _, fd := range p.kept {
			if workload.AskAgain(fd) == nil {
				alive++
			}
		}
		return nil
	})
	return float64(alive) / float64(len(p.kept))
}

func (p *play) closeKept() {
	for _, fd := range p.kept {
		_ = unix.Close(fd)
	}
}

func (p *play) phase(name, quantity string, v float64) {
	p.record(results.Scenario, map[string]string{results.ScenarioName: p.Plan.Script.Name, results.Phase: name, results.Quantity: quantity}, v)
}
