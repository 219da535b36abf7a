package trial

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	mobyipvs "github.com/moby/ipvs"
	"github.com/vishvananda/netlink"

	"viplab/results"
)

// show writes down what the kernel holds of the Service: the virtual server and its
// real servers, and how many connections lead to each endpoint, in IPVS's table and in
// conntrack's.
func (p *play) show() error {
	return p.net.Node.Do(func() error {
		lines := []string{fmt.Sprintf("# phase %s", p.currentPhase())}
		if p.Mode == "ipvs" {
			servers, err := p.showServers()
			if err != nil {
				return err
			}
			lines = append(lines, servers...)
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

// showServers is the Service's part of ipvsadm -Sn, and IPVS's connections by real
// server and state.
func (p *play) showServers() ([]string, error) {
	h, err := mobyipvs.New("")
	if err != nil {
		return nil, fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	list, err := h.GetDestinations(p.virtualServer(p.svc))
	if err != nil {
		return nil, fmt.Errorf("list real servers of %s: %w", p.svc.Key(), err)
	}
	out := []string{fmt.Sprintf("-A -t %s -s %s", front(p.svc), cmp.Or(p.Scheduler, mobyipvs.RoundRobin))}
	for _, d := range list {
		out = append(out, fmt.Sprintf("-a -t %s -r %s:%d -m -w %d  (%d active, %d inactive)", front(p.svc), d.Address, d.Port, d.Weight, d.ActiveConnections, d.InactiveConnections))
	}
	table, err := os.ReadFile("/proc/thread-self/net/ip_vs_conn")
	if err != nil {
		return nil, fmt.Errorf("read the table of IPVS: %w", err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(table)) {
		// Pro FromIP FPrt ToIP TPrt DestIP DPrt State Expires
		f := strings.Fields(line)
		if len(f) < 8 || f[0] == "Pro" || f[3] != hexAddr(p.svc.ClusterIP) {
			continue
		}
		seen[p.nameOf(f[5])+" "+f[7]]++
	}
	return append(out, counted("ip_vs_conn", seen)...), nil
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

// nameOf is named for an address as /proc/net/ip_vs_conn writes it.
func (p *play) nameOf(hex string) string {
	all := slices.Collect(maps.Keys(p.gone))
	for _, ep := range p.svc.Endpoints {
		all = append(all, ep.Addr)
	}
	for _, a := range all {
		if hexAddr(a) == hex {
			return p.named(a)
		}
	}
	return hex
}

func hexAddr(a netip.Addr) string { return fmt.Sprintf("%X", a.AsSlice()) }
