package play

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"viplab/modes"
	"viplab/results"
)

// showStep writes down what the kernel holds of the Service.
func showStep() step {
	return step{name: "show", help: "writes down what the mode and conntrack hold of the Service", do: func(p *player, _ Step) error { return p.show() }}
}

// show writes down what the kernel holds of the Service, as far as its mode can tell,
// and how many connections lead to each endpoint in conntrack's table.
func (p *player) show() error {
	return p.Net.Node.Do(func() error {
		lines := []string{fmt.Sprintf("# phase %s", p.currentPhase())}
		if shower, ok := p.PartOf(p.svc).(modes.ServiceShower); ok {
			held, err := shower.ShowService(p.svc, p.named)
			if err != nil {
				return err
			}
			lines = append(lines, held...)
		}
		tracked, err := p.showConntrack()
		if err != nil {
			return err
		}
		p.write(append(lines, tracked...)...)
		return nil
	})
}

// write writes lines down for the verdict.
func (p *player) write(lines ...string) {
	for _, l := range lines {
		p.shown++
		p.Record(results.ScenarioShown, map[string]string{results.ScenarioName: p.script.Name, results.Line: fmt.Sprintf("%3d  %s", p.shown, l)}, float64(p.shown))
	}
}

func (p *player) currentPhase() string {
	if len(p.phases) == 0 {
		return "start"
	}
	return p.phases[len(p.phases)-1].name
}

// showConntrack is conntrack's entries of the Service, by endpoint.
func (p *player) showConntrack() ([]string, error) {
	flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list the conntrack table: %w", err)
	}
	seen := map[string]int{}
	for _, f := range flows {
		if to, ok := netip.AddrFromSlice(f.Forward.DstIP.To4()); !ok || to != p.svc.ClusterIP {
			continue
		}
		from, _ := netip.AddrFromSlice(f.Reverse.SrcIP.To4())
		seen[p.named(from)]++
	}
	return counted("conntrack", seen), nil
}

func counted(table string, seen map[string]int) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, fmt.Sprintf("%s: %d to %s", table, seen[k], k))
	}
	return out
}

// named says what an endpoint is.
func (p *player) named(a netip.Addr) string {
	switch _, quiet := p.quiet[a]; {
	case p.gone[a] != 0:
		return a.String() + " (removed)"
	case quiet:
		return a.String() + " (weight 0)"
	}
	return a.String()
}
