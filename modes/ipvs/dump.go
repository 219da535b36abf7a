package ipvs

import (
	"context"
	"fmt"
	"strings"

	mobyipvs "github.com/moby/ipvs"
)

// Dump implements [modes.Proxier]: virtual and real servers in ipvsadm's form,
// then the iptables rules.
func (p *Proxier) Dump(ctx context.Context) (string, error) {
	h, err := mobyipvs.New("")
	if err != nil {
		return "", fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	services, _, err := p.servers(h)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range services {
		flag := Op{Proto: protocolOf(s.Protocol)}.flag()
		vip := addrPort(s.Address, s.Port)
		fmt.Fprintf(&b, "-A %s %s -s %s", flag, vip, s.SchedName)
		if s.Flags&flagPersistent != 0 {
			fmt.Fprintf(&b, " -p %d", s.Timeout)
		}
		fmt.Fprintln(&b, schedulerFlags(s.SchedName, s.Flags))
		dests, err := h.GetDestinations(s)
		if err != nil {
			return "", fmt.Errorf("list real servers of %s: %w", vip, explain(err))
		}
		for _, d := range dests {
			fmt.Fprintf(&b, "-a %s %s -r %s %s -w %d\n", flag, vip, addrPort(d.Address, d.Port), p.options.forwardLetter(), d.Weight)
		}
	}
	out, err := p.restorer.Dump(ctx)
	return b.String() + out, err
}
