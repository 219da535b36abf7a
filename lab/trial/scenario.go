package trial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	mobyipvs "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"viplab/lab/scenario"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
	"viplab/workload"
)

// Scenario traffic: how many threads make requests, how long one waits, and how many
// ports each thread has when ports are reused.
const (
	scenarioWorkers = 8
	scenarioWait    = 2 * time.Second
	scenarioPorts   = 12
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
	phases []phaseStart

	stop     func()
	finished chan error
	requests []workload.Request
	answers  []netip.Addr

	kept []int // descriptors of connections kept open
}

type phaseStart struct {
	name      string
	at        time.Duration
	endpoints int // of the Service, when it began
}

// scenario plays the plan's script.
func (r *run) scenario(ctx context.Context) error {
	if r.Plan.Script == nil {
		return nil
	}
	p := &play{run: r, ctx: ctx, start: time.Now(), snap: r.snap, svc: r.service((r.count() - 1) / 2),
		added: map[netip.Addr]bool{}, gone: map[netip.Addr]time.Duration{}, stop: func() {}}
	defer p.closeKept()
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

func (p *play) since() time.Duration { return time.Since(p.start) }

func (p *play) do(s scenario.Step) error {
	switch s.Do {
	case "phase":
		p.phases = append(p.phases, phaseStart{s.Name, p.since(), len(p.svc.Endpoints)})
	case "wait":
		p.sleep(s.For)
	case "traffic":
		return p.startTraffic(float64(s.N), s.Value == "reuse")
	case "add":
		return p.change(s.N, 0)
	case "remove":
		return p.change(0, s.N)
	case "replace":
		return p.change(s.N, s.N)
	case "drain":
		return p.drain(s.N, s.For)
	case "refresh":
		return p.refresh()
	case "keep":
		return p.keep(s.N)
	case "lock":
		return p.lock(s.For)
	case "sysctl":
		return p.net.Node.Do(func() error {
			return os.WriteFile(filepath.Join("/proc/sys", strings.ReplaceAll(s.Name, ".", "/")), []byte(s.Value), 0)
		})
	}
	return nil
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
	p.snap = p.snap.With(&svc)
	if p.Mode != catalog.Direct {
		if _, err := p.sync(p.ctx, p.snap); err != nil {
			return err
		}
	}
	p.svc = &svc
	for _, a := range out {
		p.gone[a] = p.since()
	}
	return nil
}

// drain takes the oldest endpoints out of service and removes them after a while.
// Only ipvs can keep one for the connections that it has while it gets no new one.
func (p *play) drain(n int, wait time.Duration) error {
	if p.Mode == "ipvs" {
		for _, ep := range p.svc.Endpoints[:min(n, len(p.svc.Endpoints))] {
			err := p.onServer(p.svc, ep, func(h *mobyipvs.Handle, s *mobyipvs.Service, d *mobyipvs.Destination) error {
				d.Weight = 0
				return h.UpdateDestination(s, d)
			})
			if err != nil {
				return err
			}
		}
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

// lock holds the lock of iptables for a while, from another process.
func (p *play) lock(d time.Duration) error {
	return p.net.Node.Do(func() error {
		cmd := exec.Command("flock", "/run/xtables.lock", "sh", "-c", fmt.Sprintf("echo held; sleep %g", d.Seconds()))
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("hold the lock: %w", err)
		}
		_, err = bufio.NewReader(out).ReadString('\n')
		go func() { _ = cmd.Wait() }()
		return err
	})
}

func (p *play) startTraffic(rate float64, reuse bool) error {
	length := p.Plan.Script.Length() + time.Minute
	n := int(rate * length.Seconds())
	p.answers = make([]netip.Addr, n)
	to := front(p.svc)
	if p.Mode == catalog.Direct {
		to = netip.AddrPortFrom(p.svc.Endpoints[0].Addr, p.Synth.TargetPort())
	}
	probers := make([]*workload.Prober, scenarioWorkers)
	for i := range probers {
		probers[i] = workload.NewProber(uint16(1100 + i*2000))
		probers[i].Wait = scenarioWait
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(p.ctx)
	p.finished = make(chan error, 1)
	begun := p.since()
	var mu sync.Mutex
	go func() {
		requests, err := workload.SteadyDo(ctx, rate, scenarioWorkers, length, p.net.Client.Go, func(w, i int) (err error) {
			var from netip.Addr
			if reuse {
				one := workload.Reuse(ctx, to, []uint16{uint16(20000 + w*scenarioPorts + (i/scenarioWorkers)%scenarioPorts)})
				if len(one) == 0 {
					return ctx.Err()
				}
				from, err = one[0].Endpoint, one[0].Err
			} else {
				from, err = probers[w].Ask(modes.TCP, to)
			}
			mu.Lock()
			defer mu.Unlock()
			p.answers[i] = from
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
		p.requests = requests
		p.finished <- err
	}()
	return nil
}

func (p *play) stopTraffic() error {
	p.stop()
	if p.finished == nil {
		return nil
	}
	return <-p.finished
}

// keep opens connections and leaves them open.
func (p *play) keep(n int) error {
	to := front(p.svc)
	if p.Mode == catalog.Direct {
		to = netip.AddrPortFrom(p.svc.Endpoints[0].Addr, p.Synth.TargetPort())
	}
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
