package trial

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"viplab/modes"
	"viplab/results"
)

// show writes down what the kernel holds of the Service, as far as its mode can tell,
// and how many connections lead to each endpoint in conntrack's table.
func (p *play) show() error {
	return p.net.Node.Do(func() error {
		lines := []string{fmt.Sprintf("# phase %s", p.currentPhase())}
		if shower, ok := p.ofService(p.svc).(modes.ServiceShower); ok {
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
func (p *play) write(lines ...string) {
	for _, l := range lines {
		p.shown++
		p.record(results.ScenarioShown, map[string]string{results.ScenarioName: p.Plan.Script.Name, results.Line: fmt.Sprintf("%3d  %s", p.shown, l)}, float64(p.shown))
	}
}

func (p *play) currentPhase() string {
	if len(p.phases) == 0 {
		return "start"
	}
	return p.phases[len(p.phases)-1].name
}

// showConntrack is conntrack's entries of the Service, by endpoint.
func (p *play) showConntrack() ([]string, error) {
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
func (p *play) named(a netip.Addr) string {
	switch _, quiet := p.quiet[a]; {
	case p.gone[a] != 0:
		return a.String() + " (removed)"
	case quiet:
		return a.String() + " (weight 0)"
	}
	return a.String()
}
