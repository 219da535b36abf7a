package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// check says what is wrong with the Service alone.
func (s *Service) check(node NodeConfig) error {
	if err := s.checkNames(); err != nil {
		return err
	}
	for _, list := range [][]netip.Addr{{s.ClusterIP}, s.ExternalIPs, s.LoadBalancerIPs} {
		for _, a := range list {
			if err := s.checkAddr(a); err != nil {
				return err
			}
		}
	}
	for _, r := range s.SourceRanges {
		if r.IsValid() && FamilyOf(r.Addr()) != s.Family() {
			return s.mixed(r.Addr())
		}
	}
	if s.Affinity < 0 || s.Affinity > MaxAffinity || s.Affinity%time.Second != 0 {
		return fmt.Errorf("service %s: affinity must be 0 to %s in whole seconds, got %s", s.Key(), MaxAffinity, s.Affinity)
	}
	for i, p := range s.Ports {
		if err := s.checkPort(i, p, node.NodePorts); err != nil {
			return err
		}
	}
	if h := s.HealthPort; h != 0 && node.NodePorts.outside(h) {
		return fmt.Errorf("service %s: health check port must be of the node ports %s, got %d", s.Key(), node.NodePorts, h)
	}
	for _, ep := range s.Endpoints {
		if err := s.checkEndpoint(ep, node); err != nil {
			return err
		}
	}
	return nil
}

// MaxName is the length of the longest name in Kubernetes (a DNS label). Names stand in the comments
// of rules, whose length the kernel limits to 255.
const MaxName = 63

func (s *Service) checkNames() error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r))
	}
	for _, name := range []string{s.Namespace, s.Name} {
		if len(name) > MaxName || strings.ContainsFunc(name, odd) {
			return fmt.Errorf("service %q: a name has at most %d letters, digits, '-', '.' and '_'", s.Key(), MaxName)
		}
	}
	for _, p := range s.Ports {
		if len(p.Name) > MaxName || strings.ContainsFunc(p.Name, odd) {
			return fmt.Errorf("service %s port %q: a name has at most %d letters, digits, '-', '.' and '_'", s.Key(), p.Name, MaxName)
		}
	}
	return nil
}

// checkAddr says what is wrong with an address of the Service itself.
func (s *Service) checkAddr(a netip.Addr) error {
	if a.IsLoopback() {
		return fmt.Errorf("service %s: %s is a loopback address, which no packet from elsewhere may have, and packets to it never come to IPVS", s.Key(), a)
	}
	return s.checkFamily(a)
}

func (s *Service) checkFamily(a netip.Addr) error {
	switch {
	case !plainAddr(a):
		return fmt.Errorf("service %s: %q is no plain IPv4 or IPv6 address", s.Key(), a)
	case a.IsUnspecified() || a.IsMulticast():
		return fmt.Errorf("service %s: %s is no address of one host", s.Key(), a)
	case FamilyOf(a) != s.Family():
		return s.mixed(a)
	}
	return nil
}

func (s *Service) mixed(a netip.Addr) error {
	return fmt.Errorf("service %s: families cannot be mixed in one service, but it has %s and %s (a dual-stack service is two of the same name)", s.Key(), s.ClusterIP, a)
}

func (s *Service) checkPort(i int, p ServicePort, of PortRange) error {
	if p.Protocol.Number() == 0 || p.Port == 0 {
		return fmt.Errorf("service %s port %q: %s %d to %d is no usable port", s.Key(), p.Name, p.Protocol, p.Port, p.TargetPort)
	}
	if p.NodePort != 0 && of.outside(p.NodePort) {
		return fmt.Errorf("service %s port %q: node port must be %s, got %d", s.Key(), p.Name, of, p.NodePort)
	}
	if h := s.HealthPort; h != 0 && p.NodePort == h {
		return fmt.Errorf("service %s: node port %d is its health check port too", s.Key(), h)
	}
	for _, o := range s.Ports[:i] {
		if o.Name == p.Name {
			return fmt.Errorf("service %s: two ports have the name %q", s.Key(), p.Name)
		}
	}
	return nil
}

// outside tells whether a port lies outside of a range that is not empty.
func (r PortRange) outside(port uint16) bool { return r.Last != 0 && (port < r.First || port > r.Last) }

func (s *Service) checkEndpoint(ep Endpoint, node NodeConfig) error {
	if ep.Addr.IsLoopback() {
		return fmt.Errorf("service %s: endpoint %s is a loopback address, which means another host on every node", s.Key(), ep.Addr)
	}
	if err := s.checkFamily(ep.Addr); err != nil {
		return err
	}
	if slices.Contains(node.Addrs, ep.Addr) {
		return fmt.Errorf("service %s: endpoint %s is an address of the node itself, which the lab's endpoints do not run on", s.Key(), ep.Addr)
	}
	serves := ep.Only == ""
	for _, p := range s.Ports {
		if ep.Only != "" && ep.Only != p.Name {
			continue
		}
		serves = true
		if ep.At(p).Port() == 0 {
			return fmt.Errorf("service %s port %q: no usable port: neither the service nor its endpoint %s gives a target port", s.Key(), p.Name, ep.Addr)
		}
	}
	if !serves {
		return fmt.Errorf("service %s: endpoint %s serves port %q only, which the service does not have", s.Key(), ep.Addr, ep.Only)
	}
	return nil
}
