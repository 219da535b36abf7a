package kube

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"viplab/modes"
)

// MaxTimes bounds how often a Snapshot can be multiplied.
const MaxTimes = 1000

// Times is a Snapshot with n of every Service: itself, and n-1 copies with names,
// addresses, endpoints, node ports and health check ports of their own. What Services
// share, such as pods, their copies share likewise, so that the distribution of
// endpoints, ports, types and affinity stays what it is. The Snapshot's addresses must
// lie in the Networks, see [Into].
func Times(s modes.Snapshot, n int, nets ...Network) (modes.Snapshot, error) {
	if n < 1 || n > MaxTimes {
		return s, fmt.Errorf("multiply services: the factor must be 1 to %d, got %d", MaxTimes, n)
	}
	if n == 1 {
		return s, nil
	}
	m := newMapper(nets)
	names, ports := map[string]bool{}, newPorts(s)
	for _, svc := range s.Services {
		names[svc.Key()] = true
		for _, r := range []role{vip, endpoint} {
			for _, a := range r.of(svc) {
				m.used[a] = true
			}
		}
	}
	out := make([]*modes.Service, 0, n*len(s.Services))
	out = append(out, s.Services...)
	for copy := 2; copy <= n; copy++ {
		clear(m.to)
		ports.copy()
		renamed := map[string]string{}
		for _, svc := range s.Services {
			one, err := m.copied(svc, copy)
			if err == nil {
				err = ports.give(one)
			}
			if err != nil {
				return s, fmt.Errorf("multiply services by %d: %w", n, err)
			}
			// The two families of a Service keep one name.
			if renamed[svc.Key()] == "" {
				renamed[svc.Key()] = copyName(svc, copy, names)
			}
			one.Name = renamed[svc.Key()]
			out = append(out, one)
		}
	}
	slices.SortFunc(out, (*modes.Service).Compare)
	s.Services = out
	return s, nil
}

// copied is a Service with new addresses, the same for the same ones within one copy.
func (m *mapper) copied(svc *modes.Service, copy int) (*modes.Service, error) {
	for _, r := range []role{vip, endpoint} {
		for _, a := range r.of(svc) {
			if _, known := m.to[a]; known {
				continue
			}
			to, err := m.place(a, scattered(a, copy), r)
			if err != nil {
				return nil, fmt.Errorf("service %s: %w", svc.Key(), err)
			}
			m.to[a] = to
		}
	}
	return m.moved(svc), nil
}

// scattered is an address with other bits for each copy, since allocators scatter the
// addresses of Services too.
func scattered(a netip.Addr, copy int) netip.Addr {
	sum := sha256.Sum256(fmt.Append(nil, copy, a))
	out, _ := netip.AddrFromSlice(sum[:a.BitLen()/8])
	return out
}

// copyName is a name that no Service has yet.
func copyName(svc *modes.Service, copy int, names map[string]bool) string {
	for i := 0; ; i++ {
		suffix := fmt.Sprintf("-x%d", copy)
		if i > 0 {
			suffix = fmt.Sprintf("-x%d-%d", copy, i)
		}
		name := strings.TrimRight(svc.Name[:min(len(svc.Name), modes.MaxName-len(suffix))], "-.") + suffix
		if k := svc.Namespace + "/" + name; !names[k] {
			names[k] = true
			return name
		}
	}
}

// ports gives node ports out.
type ports struct {
	used map[uint16]bool
	next uint16
	in   modes.PortRange
	to   map[uint16]uint16 // within one copy
}

// Node ports of copies where the Snapshot sets no range: Kubernetes' own range first, then
// what is above it, then below, down to the ports that need no privilege.
const firstNodePort, lastNodePort, lowestNodePort = 30000, 65535, 1024

func newPorts(s modes.Snapshot) *ports {
	p := &ports{used: map[uint16]bool{}, in: s.Node.NodePorts}
	if p.in == (modes.PortRange{}) {
		p.in = modes.PortRange{First: lowestNodePort, Last: lastNodePort}
	}
	for _, svc := range s.Services {
		p.used[svc.HealthPort] = true
		for _, sp := range svc.Ports {
			p.used[sp.NodePort] = true
		}
	}
	p.next = max(p.in.First, min(firstNodePort, p.in.Last))
	return p
}

// copy begins another copy of all Services.
func (p *ports) copy() { p.to = map[uint16]uint16{} }

// give replaces the node ports of a Service.
func (p *ports) give(svc *modes.Service) (err error) {
	svc.Ports = slices.Clone(svc.Ports)
	for i := range svc.Ports {
		if svc.Ports[i].NodePort, err = p.one(svc.Ports[i].NodePort); err != nil {
			return fmt.Errorf("service %s: %w", svc.Key(), err)
		}
	}
	svc.HealthPort, err = p.one(svc.HealthPort)
	if err != nil {
		return fmt.Errorf("service %s: %w", svc.Key(), err)
	}
	return nil
}

// one is what a node port is replaced by: the same for the same number within a copy, as
// with one of TCP and UDP, or of both families.
func (p *ports) one(port uint16) (uint16, error) {
	if port == 0 || p.to[port] != 0 {
		return p.to[port], nil
	}
	for range int(p.in.Last) - int(p.in.First) + 1 {
		at := p.next
		if p.next++; at == p.in.Last || p.next == 0 {
			p.next = p.in.First
		}
		if !p.used[at] {
			p.used[at], p.to[port] = true, at
			return at, nil
		}
	}
	return 0, fmt.Errorf("all node ports of %s are taken", p.in)
}
