package iptables

import (
	"context"
	"fmt"

	"viplab/modes"
)

// The abilities that the mode has beside those of a [modes.Proxier].
var (
	_ modes.Refresher = (*Proxier)(nil)
	_ modes.Stepwise  = (*Proxier)(nil)
	_ modes.Appender  = (*Proxier)(nil)
)

// Steps implements [modes.Stepwise]: strategy [Append] is one call a rule.
func (p *Proxier) Steps() bool { return p.restorer.Strategy == Append }

// SetSteps implements [modes.Stepwise].
func (p *Proxier) SetSteps(on bool) {
	p.restorer.Strategy = Partial
	if on {
		p.restorer.Strategy = Append
	}
}

// appended is a rule that no packet of the lab's meets, of each family.
func appended(f modes.Family) []string {
	to := "10.255.255.254/32"
	if f == modes.IPv6 {
		to = "fd00:ffff::fffe/128"
	}
	return []string{"-d", to, "-p", "tcp", "-j", "RETURN"}
}

// Append implements [modes.Appender]: one `iptables -A` to KUBE-SERVICES.
func (p *Proxier) Append(context.Context) (undo func() error, err error) {
	ipt, err := p.restorer.finder()
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", p.restorer.command(), err)
	}
	rule := appended(p.restorer.Family)
	if err := ipt.Append("nat", ServicesChain, rule...); err != nil {
		return nil, fmt.Errorf("append a rule to %s: %w", ServicesChain, err)
	}
	return func() error { return ipt.Delete("nat", ServicesChain, rule...) }, nil
}
