package ipvs

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	mobyipvs "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// The abilities that the mode has beside those of a [modes.Proxier].
var (
	_ modes.Refresher        = (*Proxier)(nil)
	_ modes.Appender         = (*Proxier)(nil)
	_ modes.Drainer          = (*Proxier)(nil)
	_ modes.ConnectionLister = (*Proxier)(nil)
	_ modes.ServiceShower    = (*Proxier)(nil)
	_ modes.Tunable          = (*Proxier)(nil)
)

// handle opens IPVS for one purpose.
func (p *Proxier) handle(do func(*mobyipvs.Handle) error) error {
	h, err := mobyipvs.New("")
	if err != nil {
		return fmt.Errorf("open ipvs: %w", err)
	}
	defer h.Close()
	return do(h)
}

// server is a virtual server as moby/ipvs has it.
func (p *Proxier) server(proto modes.Protocol, at netip.AddrPort) *mobyipvs.Service {
	s := &mobyipvs.Service{AddressFamily: unix.AF_INET, Protocol: uint16(proto.Number()), Address: net.IP(at.Addr().AsSlice()), Port: at.Port(),
		Netmask: p.options.netmask()}
	s.SchedName, s.Flags = p.options.scheduling()
	if at.Addr().Is6() {
		s.AddressFamily = unix.AF_INET6
	}
	return s
}

// first is the virtual server for TCP of a Service's first port at its ClusterIP.
func (p *Proxier) first(svc *modes.Service) *mobyipvs.Service {
	return p.server(modes.TCP, netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port))
}

// Append implements [modes.Appender]: one virtual server without real servers.
func (p *Proxier) Append(context.Context) (undo func() error, err error) {
	at := netip.MustParseAddrPort("10.255.255.254:80")
	if p.options.Family == modes.IPv6 {
		at = netip.MustParseAddrPort("[fd00:ffff::fffe]:80")
	}
	h, err := mobyipvs.New("")
	if err != nil {
		return nil, fmt.Errorf("open ipvs: %w", err)
	}
	s := p.server(modes.TCP, at)
	if err := h.NewService(s); err != nil {
		h.Close()
		return nil, fmt.Errorf("add virtual server %s: %w", at, err)
	}
	return func() error {
		defer h.Close()
		return h.DelService(s)
	}, nil
}

// reals lists the operations that made an endpoint's real servers: one behind each virtual
// server of the Service, of all its ports, addresses and node ports, that gives it traffic.
func (p *Proxier) reals(svc *modes.Service, ep modes.Endpoint) []Op {
	return slices.DeleteFunc(p.node.needs(nil, svc), func(o Op) bool {
		return o.Kind != AddReal || !slices.ContainsFunc(svc.Ports, func(sp modes.ServicePort) bool {
			return o.Proto == sp.Protocol && (o.VIP.Port() == sp.Port || o.VIP.Port() == sp.NodePort) &&
				o.Real == ep.At(sp) && (ep.Only == "" || ep.Only == sp.Name)
		})
	})
}

// onReals does something to each real server of an endpoint of a Service.
func (p *Proxier) onReals(svc *modes.Service, ep modes.Endpoint, what string,
	do func(*mobyipvs.Handle, *mobyipvs.Service, *mobyipvs.Destination) error) error {
	return p.handle(func(h *mobyipvs.Handle) error {
		for _, o := range p.reals(svc, ep) {
			s := p.server(o.Proto, o.VIP)
			d := &mobyipvs.Destination{AddressFamily: s.AddressFamily, Address: net.IP(o.Real.Addr().AsSlice()), Port: o.Real.Port(),
				Weight: int(o.Weight), ConnectionFlags: p.options.forwardFlag()}
			if err := do(h, s, d); err != nil {
				return fmt.Errorf("%s real server %s of %s %s, service %s: %w", what, o.Real, o.Proto, o.VIP, svc.Key(), err)
			}
		}
		return nil
	})
}

// Drain implements [modes.Drainer]: weight 0.
func (p *Proxier) Drain(svc *modes.Service, ep modes.Endpoint) error {
	return p.onReals(svc, ep, "drain", func(h *mobyipvs.Handle, s *mobyipvs.Service, d *mobyipvs.Destination) error {
		d.Weight = 0
		return h.UpdateDestination(s, d)
	})
}

// Evict implements [modes.Drainer].
func (p *Proxier) Evict(svc *modes.Service, ep modes.Endpoint) error {
	return p.onReals(svc, ep, "delete", (*mobyipvs.Handle).DelDestination)
}

// Readmit implements [modes.Drainer].
func (p *Proxier) Readmit(svc *modes.Service, ep modes.Endpoint) error {
	return p.onReals(svc, ep, "add", (*mobyipvs.Handle).NewDestination)
}

// Connections implements [modes.ConnectionLister]. The kernel's counts of connections to each
// real server would do, but it adds them up every two seconds only.
func (p *Proxier) Connections(svc *modes.Service) (map[netip.AddrPort]netip.Addr, error) {
	list, err := connectionsTo(svc.ClusterIP)
	out := map[netip.AddrPort]netip.Addr{}
	for _, c := range list {
		// A template of session affinity has no port.
		if c.proto == modes.TCP && c.port == svc.Ports[0].Port && c.client.Port() != 0 {
			out[c.client] = c.real
		}
	}
	return out, err
}

// ShowService implements [modes.ServiceShower]: the Service's part of ipvsadm -Sn, and
// IPVS's connections by real server and state.
func (p *Proxier) ShowService(svc *modes.Service, named func(netip.Addr) string) (out []string, err error) {
	at := netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port)
	err = p.handle(func(h *mobyipvs.Handle) error {
		list, err := h.GetDestinations(p.first(svc))
		if err != nil {
			return fmt.Errorf("list real servers of %s: %w", svc.Key(), err)
		}
		out = append(out, fmt.Sprintf("-A -t %s %s", at, p.options.SchedulerArgs()))
		for _, d := range list {
			out = append(out, fmt.Sprintf("-a -t %s -r %s:%d %s -w %d  (%d active, %d inactive)",
				at, d.Address, d.Port, p.options.forwardLetter(), d.Weight, d.ActiveConnections, d.InactiveConnections))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list, err := connectionsTo(svc.ClusterIP)
	if err != nil {
		return nil, err
	}
	seen := map[string]int{} // by real server and state
	for _, c := range list {
		seen[named(c.real)+" "+c.state]++
	}
	for _, k := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, fmt.Sprintf("ip_vs_conn: %d to %s", seen[k], k))
	}
	return out, nil
}

// connection is an entry of IPVS's table.
type connection struct {
	proto  modes.Protocol
	client netip.AddrPort
	port   uint16 // of the VIP
	real   netip.Addr
	state  string
}

// connectionsTo lists IPVS's connections to a VIP.
func connectionsTo(vip netip.Addr) ([]connection, error) {
	table, err := os.ReadFile("/proc/thread-self/net/ip_vs_conn")
	if err != nil {
		return nil, fmt.Errorf("read the table of IPVS: %w", err)
	}
	var out []connection
	for line := range strings.Lines(string(table)) {
		// Pro FromIP FPrt ToIP TPrt DestIP DPrt State Expires
		f := strings.Fields(line)
		if len(f) < 8 || f[0] == "Pro" || tableAddr(f[3]) != vip {
			continue
		}
		from, err := strconv.ParseUint(f[2], 16, 16)
		to, toErr := strconv.ParseUint(f[4], 16, 16)
		if err != nil || toErr != nil {
			return nil, fmt.Errorf("read the table of IPVS: no ports in %q", line)
		}
		out = append(out, connection{modes.Protocol(strings.ToLower(f[0])), netip.AddrPortFrom(tableAddr(f[1]), uint16(from)), uint16(to), tableAddr(f[5]), f[7]})
	}
	return out, nil
}

// tableAddr is an address as /proc/net/ip_vs_conn writes it: eight hexadecimal digits or eight
// groups of them; invalid if it is none.
func tableAddr(s string) netip.Addr {
	if strings.Contains(s, ":") {
		a, _ := netip.ParseAddr(s)
		return a
	}
	var b [4]byte
	if n, err := fmt.Sscanf(s, "%02X%02X%02X%02X", &b[0], &b[1], &b[2], &b[3]); n != 4 || err != nil || len(s) != 8 {
		return netip.Addr{}
	}
	return netip.AddrFrom4(b)
}

// Names of the settings that decide what becomes of a local port that is used again.
const (
	reuseSetting     = "conn_reuse_mode"
	expireSetting    = "expire_nodest_conn"
	conntrackSetting = "vs.conntrack" // "conntrack" is a parameter of the mode
)

// Settings implements [modes.Tunable].
func (p *Proxier) Settings() []modes.Setting {
	return []modes.Setting{
		{Name: reuseSetting, Values: []string{"0", "1", "2"}},
		{Name: expireSetting, Values: []string{"0", "1"}},
		{Name: conntrackSetting, Values: []string{"0", "1"}},
	}
}

// sysctlOf is the sysctl that a setting is, below /proc/sys.
func sysctlOf(setting string) string {
	return "net/ipv4/vs/" + strings.TrimPrefix(setting, "vs.")
}

// usual are the settings as the mode itself has them: those that it sets, and the kernel's
// default of conn_reuse_mode, which it leaves.
func (o Options) usual() map[string]string {
	values := map[string]string{reuseSetting: "1"}
	for _, name := range []string{expireSetting, conntrackSetting} {
		for _, s := range o.settings() {
			if s[0] == sysctlOf(name) {
				values[name] = s[1]
			}
		}
	}
	return values
}

// Set implements [modes.Tunable]: the settings are sysctls below net.ipv4.vs.
func (p *Proxier) Set(values map[string]string) error {
	if values == nil {
		values = p.options.usual()
	}
	for _, s := range p.Settings() {
		v, ok := values[s.Name]
		if !ok {
			continue
		}
		if err := os.WriteFile(filepath.Join("/proc/sys", sysctlOf(s.Name)), []byte(v), 0); err != nil {
			return fmt.Errorf("set %s of IPVS to %s: %w", s.Name, v, err)
		}
	}
	return nil
}
