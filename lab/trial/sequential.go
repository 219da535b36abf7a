package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	goiptables "github.com/coreos/go-iptables/iptables"
	mobyipvs "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"viplab/modes/catalog"
	"viplab/modes/iptables"
	"viplab/results"
)

// sequential is a trial of strategy append: all rules by as many calls, within
// a time budget; then, on top of rules that were put there in one go, single
// changes by single calls.
func (r *run) sequential(ctx context.Context, mode catalog.Mode) error {
	if err := r.setUp(ctx, mode); err != nil {
		return errors.Join(err, r.tearDown())
	}
	err := r.install(ctx)
	// What a budget cut off is in no state to be closed: it goes with its
	// namespace.
	r.mode = nil
	if err = errors.Join(err, r.tearDown()); err != nil {
		return err
	}
	r.options.Sync = iptables.Partial
	if err := r.setUp(ctx, mode); err != nil {
		return errors.Join(err, r.tearDown())
	}
	r.step("program %d services in one go", r.Synth.Services)
	if _, err := r.sync(ctx, r.snap); err != nil {
		return errors.Join(fmt.Errorf("full sync: %w", err), r.tearDown())
	}
	if err := r.validate(true); err != nil {
		return errors.Join(fmt.Errorf("forwarding is not right, so nothing is timed: %w", err), r.tearDown())
	}
	if p, ok := r.mode.(*iptables.Proxier); ok {
		p.SetStrategy(iptables.Append)
	}
	err = r.ruleAppend(ctx)
	if err == nil {
		err = r.deltas(ctx)
	}
	return errors.Join(err, r.tearDown())
}

// install times the sequential installation. Cut off by its budget it is a
// censored sample, with how far it came.
func (r *run) install(ctx context.Context) error {
	if r.Plan.Install <= 0 {
		return nil
	}
	r.step("install one rule a call, for at most %s", r.Plan.Install)
	inner, cancel := context.WithTimeout(ctx, r.Plan.Install)
	defer cancel()
	s, err := r.sync(inner, r.snap)
	over := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if err != nil && !over {
		return fmt.Errorf("install one rule a call: %w", err)
	}
	if over {
		r.censored(results.InstallSequential, nil, s.took)
	} else {
		r.record(results.InstallSequential, nil, s.took.Seconds())
	}
	r.record(results.Objects, map[string]string{results.Of: "rules installed"}, float64(s.cost.Rules))
	return nil
}

// ruleAppends is how many single rules are timed.
const ruleAppends = 3

// ruleAppend times one more rule on top of what is there: one `iptables -A`, or
// for ipvs one virtual server over netlink.
func (r *run) ruleAppend(context.Context) error {
	var took []float64
	err := r.net.Node.Do(func() (err error) {
		switch {
		case r.Sync == string(iptables.Append):
			took, err = appendRules(r.Backend)
		case r.Mode == "ipvs":
			took, err = appendServers()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("append one rule: %w", err)
	}
	r.record(results.RuleAppend, nil, took...)
	return nil
}

func appendRules(backend string) ([]float64, error) {
	ipt, err := goiptables.New(goiptables.Path("iptables-" + backend))
	if err != nil {
		return nil, err
	}
	var took []float64
	rule := []string{"-d", "10.255.255.254/32", "-p", "tcp", "-j", "RETURN"}
	for range ruleAppends {
		start := time.Now()
		if err := ipt.Append("nat", iptables.ServicesChain, rule...); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start).Seconds())
		if err := ipt.Delete("nat", iptables.ServicesChain, rule...); err != nil {
			return nil, err
		}
	}
	return took, nil
}

func appendServers() ([]float64, error) {
	h, err := mobyipvs.New("")
	if err != nil {
		return nil, err
	}
	defer h.Close()
	svc := &mobyipvs.Service{
		AddressFamily: unix.AF_INET, Protocol: unix.IPPROTO_TCP, Address: net.IPv4(10, 255, 255, 254), Port: 80,
		SchedName: mobyipvs.RoundRobin, Netmask: 0xffffffff,
	}
	var took []float64
	for range 5 * ruleAppends {
		start := time.Now()
		if err := h.NewService(svc); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start).Seconds())
		if err := h.DelService(svc); err != nil {
			return nil, err
		}
	}
	return took, nil
}
