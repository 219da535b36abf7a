package play

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
)

// The steps that change the Service or the node otherwise than by endpoints.
func nodeSteps() []step {
	return []step{
		{name: "refresh", help: "everything is written again", do: func(p *player, _ Step) error { return p.refresh() }},
		{name: "expose", help: "gives the Service a node port",
			check: func(c *course, _ Step) error { c.expose(); return nil }, do: func(p *player, _ Step) error { return p.expose() }},
		{name: "policy", usage: "cluster | local N", help: "external traffic policy; the first N endpoints are on the node", words: -1, parse: parsePolicy,
			check: func(c *course, s Step) error { c.svc.ExternalLocal = s.Value == "local"; return c.has(s.N) },
			do:    func(p *player, s Step) error { return p.policy(s) }},
		{name: "affinity", usage: "DURATION|off", help: "a client keeps its endpoint until it was silent for that long", parse: parseAffinity,
			check: func(c *course, s Step) error { c.svc.Affinity = s.affinity(); return nil },
			do: func(p *player, s Step) error {
				return p.alter(func(svc *modes.Service) { svc.Affinity = s.affinity() })
			}},
		{name: "sysctl", usage: "NAME VALUE", help: "a setting of the node's network", parse: parseSysctl,
			do: func(p *player, s Step) error { return p.sysctl(s) }},
	}
}

// parsePolicy reads "cluster" or "local N".
func parsePolicy(s *Step, args []string) (err error) {
	switch {
	case len(args) == 1 && args[0] == "cluster":
		s.Value = args[0]
		return nil
	case len(args) == 2 && args[0] == "local":
		s.Value = args[0]
		s.N, err = number(args[1], 0, 100)
		return err
	}
	return fmt.Errorf("want policy cluster or policy local N, got %q", strings.Join(args, " "))
}

// maxAffinity is Kubernetes' own limit of a session affinity's timeout.
const maxAffinity = 24 * time.Hour

// parseAffinity reads whole seconds, or "off".
func parseAffinity(s *Step, args []string) error {
	if args[0] == "off" {
		return nil
	}
	d, err := time.ParseDuration(args[0])
	if err != nil || d < time.Second || d > maxAffinity || d%time.Second != 0 {
		return fmt.Errorf("want affinity off, or for whole seconds up to %s, got %q", maxAffinity, args[0])
	}
	s.N = int(d / time.Second)
	return nil
}

// affinity is the timeout of a step that sets one, in its N.
func (s Step) affinity() time.Duration { return time.Duration(s.N) * time.Second }

// wordSysctls are the few that do not take a number, as the kernel reads one: 0x1 is one, too.
func wordSysctls() []string {
	return []string{"net.ipv4.tcp_congestion_control", "net.ipv4.tcp_allowed_congestion_control", "net.ipv4.tcp_fastopen_key",
		"net.ipv4.ip_local_reserved_ports", "net.ipv4.vs.est_cpulist"}
}

func parseSysctl(s *Step, args []string) error {
	s.Name, s.Value = args[0], args[1]
	if !strings.HasPrefix(s.Name, "net.ipv4.") {
		return fmt.Errorf("only sysctls of the node's own network (net.ipv4.) can be set, not %s", s.Name)
	}
	if _, err := strconv.ParseInt(s.Value, 0, 64); err != nil && !slices.Contains(wordSysctls(), s.Name) {
		return fmt.Errorf("want a number for sysctl %s, got %q", s.Name, s.Value)
	}
	return nil
}

func (p *player) expose() error {
	port, err := freeNodePort(p.snap, p.svc)
	if err != nil {
		return err
	}
	p.nodePort = port
	return p.alter(func(svc *modes.Service) {
		svc.Ports = slices.Clone(svc.Ports)
		for i := range svc.Ports {
			if svc.Ports[i].Port == svc.Ports[0].Port {
				svc.Ports[i].NodePort = port // of TCP and UDP alike
			}
		}
	})
}

// The range of node ports, Kubernetes' default, and the one in it that is looked at first.
const firstNodePort, nodePorts, usualNodePort = 30000, 2768, 30080

// freeNodePort is a node port that no other Service than one has, whatever the protocol: a
// user's own Services may have any. External addresses count too, since they may be the node's.
func freeNodePort(s modes.Snapshot, than *modes.Service) (uint16, error) {
	taken := map[uint16]bool{}
	for _, svc := range s.Services {
		if svc.Key() == than.Key() {
			continue
		}
		taken[svc.HealthPort] = true
		for _, p := range svc.Ports {
			taken[p.NodePort] = true
			if len(svc.ExternalIPs)+len(svc.LoadBalancerIPs) > 0 {
				taken[p.Port] = true
			}
		}
	}
	for i := range nodePorts {
		if n := uint16(firstNodePort + (usualNodePort-firstNodePort+i)%nodePorts); !taken[n] {
			return n, nil
		}
	}
	return 0, fmt.Errorf("give service %s a node port: other Services have all from %d to %d", than.Key(), firstNodePort, firstNodePort+nodePorts-1)
}

func (p *player) policy(s Step) error {
	return p.alter(func(svc *modes.Service) {
		svc.ExternalLocal = s.Value == "local"
		svc.Endpoints = slices.Clone(svc.Endpoints)
		for i := range svc.Endpoints {
			svc.Endpoints[i].Local = i < s.N
		}
	})
}

// sysctl sets a sysctl of the node. Nothing depends on it in mode direct.
func (p *player) sysctl(s Step) error {
	if p.About.Baseline {
		return nil
	}
	return p.Net.Node.Do(trial.Sysctl{Name: s.Name, Value: s.Value}.Set)
}

func (p *player) refresh() error {
	m, ok := p.Proxier.(modes.Refresher)
	if !ok {
		return nil
	}
	return p.Net.Node.Do(func() error { _, err := m.Refresh(p.ctx); return err })
}
