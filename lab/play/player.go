package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
)

// player is a scenario that runs.
type player struct {
	*trial.Stage
	script Script
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

	traffic   []*traffic // the last one runs
	kept      []int      // descriptors of connections kept open
	shown     int        // lines
	undrained bool       // it was said that the mode cannot quiesce
	nodePort  uint16
	holders   []holder // of the lock
}

type serviceSince struct {
	at  time.Duration
	svc *modes.Service
}

// serviceAt is what the Service was at a time.
func (p *player) serviceAt(at time.Duration) *modes.Service {
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

// Play is the measurement that plays the scenario of a trial's plan, if it has one.
func Play() trial.Measurement {
	return trial.Measurement{Name: "scenario", Wanted: func(st *trial.Stage) bool { return len(st.Plan.Script) > 0 }, Run: run}
}

func run(ctx context.Context, st *trial.Stage) error {
	p := &player{Stage: st, ctx: ctx, start: time.Now(), snap: st.Snapshot, svc: st.Changing(),
		added: map[netip.Addr]bool{}, gone: map[netip.Addr]time.Duration{}, quiet: map[netip.Addr]time.Duration{}}
	if err := json.Unmarshal(st.Plan.Script, &p.script); err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	defer p.closeKept()
	defer p.stopHolders()
	p.history = []serviceSince{{0, p.svc}}
	if err := p.prepare(); err != nil {
		return err
	}
	var err error
	for _, s := range p.script.Steps {
		if err = errors.Join(err, ctx.Err()); err != nil {
			break
		}
		st.Step("%s: %s %s", p.script.Name, s.Do, s.Name)
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
		p.phase(lastPhase, "kept", p.keptShare())
	}
	return nil
}

// do takes one step.
func (p *player) do(s Step) error {
	k, err := find(s.Do)
	if err != nil {
		return err
	}
	return k.do(p, s)
}

// outsideRange is a range of pods that does not have the client in it.
var outsideRange = netip.MustParsePrefix("10.128.0.0/10")

// prepare sets up what the script needs before its first step.
func (p *player) prepare() error {
	if p.script.FromPods() {
		if err := p.Net.LetPodsDial(); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(p.script.Steps, func(s Step) bool { return s.Do == "append" || s.Do == "overlap" }) {
		if err := p.writersChain(); err != nil {
			return err
		}
	}
	isUDP := func(one modes.ServicePort) bool { return one.Protocol == modes.UDP }
	if p.script.Over(modes.UDP) && !slices.ContainsFunc(p.svc.Ports, isUDP) {
		if err := p.alter(func(svc *modes.Service) {
			more := svc.Ports[0]
			more.Name, more.Protocol = "udp", modes.UDP
			svc.Ports = append(slices.Clone(svc.Ports), more)
		}); err != nil {
			return err
		}
	}
	if !p.script.Outside || p.About.Baseline {
		return nil
	}
	p.snap.ClusterCIDR = outsideRange
	// kube-proxy is started anew when its cluster range changes.
	if err := p.Net.Node.Do(p.Proxier.Close); err != nil {
		return err
	}
	_, err := p.Sync(p.ctx, p.snap)
	return err
}

func (p *player) since() time.Duration { return time.Since(p.start) }

// sleep waits, unless the scenario is to end.
func (p *player) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// program replaces the Service by a changed one.
func (p *player) program(svc *modes.Service) error {
	p.snap = p.snap.With(svc)
	if !p.About.Baseline {
		if _, err := p.Sync(p.ctx, p.snap); err != nil {
			return err
		}
	}
	p.svc = svc
	p.history = append(p.history, serviceSince{p.since(), svc})
	return nil
}

// alter changes the Service otherwise than in its number of endpoints.
func (p *player) alter(change func(*modes.Service)) error {
	svc := *p.svc
	change(&svc)
	return p.program(&svc)
}

// phase records a quantity of a phase.
func (p *player) phase(name, quantity string, v float64) {
	p.Record(results.Scenario, map[string]string{results.ScenarioName: p.script.Name, results.Phase: name, results.Quantity: quantity}, v)
}
