package modes

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Normal is the door of every Snapshot: it says in one sentence, naming the Service and
// the value, what cannot be served, and puts what means the same into one form, so that
// no mode need think of it.
//
//   - An endpoint that is listed twice counts once; of two conditions the better one
//     holds. Endpoints of a Service that publishes unready ones are ready.
//   - Source ranges have no host bits; one of length 0 among them means no restriction.
//   - Addresses are listed once: one that is external and a balancer's is external (that
//     is the rule that kube-proxy's packets meet first), and the ClusterIP is neither.
//   - Two Services never claim one address, port and protocol, nor one node port or
//     health check port; Services are sorted and unique; families are not mixed; endpoints
//     do not run at addresses of the node itself, where the lab has none.
//
// Services that need no change stay the same pointers. It takes linear time, about a
// microsecond a Service.
func (s Snapshot) Normal() (Snapshot, error) {
	if c, c6 := s.ClusterCIDR, s.ClusterCIDR6; c.IsValid() && !c.Addr().Is4() || c6.IsValid() && !c6.Addr().Is6() {
		return s, fmt.Errorf("cluster ranges %s and %s: families cannot be mixed, the first is of IPv4, the second of IPv6", c, c6)
	}
	s.ClusterCIDR, s.ClusterCIDR6 = s.ClusterCIDR.Masked(), s.ClusterCIDR6.Masked()
	var err error
	if s.Node, err = s.Node.normal(); err != nil {
		return s, err
	}
	if !slices.IsSortedFunc(s.Services, (*Service).Compare) {
		return s, errors.New("services are not sorted by namespace and name")
	}
	services, claims := s.Services, make(claims, 2*len(s.Services))
	for i, svc := range services {
		if i > 0 && svc.Compare(services[i-1]) == 0 {
			return s, fmt.Errorf("service %s occurs twice", svc.Key())
		}
		one, err := svc.normal(s.Node)
		if err == nil {
			err = claims.add(one)
		}
		if err != nil {
			return s, &ServiceError{svc, err}
		}
		if one != svc {
			if &s.Services[0] == &services[0] {
				s.Services = slices.Clone(services)
			}
			s.Services[i] = one
		}
	}
	if !s.divided.is(s.Services) {
		s.divided = divide(s.Services)
	}
	return s, nil
}

// ServiceError says what is wrong with a Service of a Snapshot.
type ServiceError struct {
	Service *Service
	Err     error // names the Service
}

// Error is the sentence that names the Service and the value.
func (e *ServiceError) Error() string { return e.Err.Error() }

// Unwrap gives that sentence as an error.
func (e *ServiceError) Unwrap() error { return e.Err }

// normal checks one Service and gives it its normal form: itself if it is in it.
func (s *Service) normal(node NodeConfig) (*Service, error) {
	if err := s.check(node); err != nil {
		return nil, err
	}
	out := *s
	changed := false
	note := func(c bool) { changed = changed || c }
	var err error
	if out.SourceRanges, err = normalRanges(s.SourceRanges); err != nil {
		return nil, fmt.Errorf("service %s: source ranges: %w", s.Key(), err)
	}
	if slices.ContainsFunc(out.SourceRanges, func(r netip.Prefix) bool { return r.Bits() == 0 }) {
		out.SourceRanges = nil
	}
	note(!slices.Equal(out.SourceRanges, s.SourceRanges))
	out.ExternalIPs = distinct(s.ExternalIPs, []netip.Addr{s.ClusterIP})
	out.LoadBalancerIPs = distinct(s.LoadBalancerIPs, append([]netip.Addr{s.ClusterIP}, s.ExternalIPs...))
	note(len(out.ExternalIPs) != len(s.ExternalIPs) || len(out.LoadBalancerIPs) != len(s.LoadBalancerIPs))
	out.Endpoints = s.normalEndpoints()
	note(!slices.Equal(out.Endpoints, s.Endpoints))
	if !changed {
		return s, nil
	}
	return &out, nil
}

// distinct is the addresses of a list, each once and without some others: the same slice
// if that changes nothing.
func distinct(list, without []netip.Addr) []netip.Addr {
	for i, a := range list {
		if !slices.Contains(list[:i], a) && !slices.Contains(without, a) {
			continue
		}
		out := slices.Clone(list[:i])
		for _, a := range list[i:] {
			if !slices.Contains(out, a) && !slices.Contains(without, a) {
				out = append(out, a)
			}
		}
		return out
	}
	return list
}

// normalEndpoints is the Service's endpoints, each once: the same slice if that changes
// nothing.
func (s *Service) normalEndpoints() []Endpoint {
	list := s.Endpoints
	if s.PublishUnready && slices.ContainsFunc(list, func(ep Endpoint) bool { return ep.Condition != Ready }) {
		list = slices.Clone(list)
		for i := range list {
			list[i].Condition = Ready
		}
	}
	seen := make(map[netip.Addr]bool, len(list))
	for _, ep := range list {
		seen[ep.Addr] = true
	}
	if len(seen) == len(list) {
		return list
	}
	return s.once(list)
}

// once merges the endpoints that would serve the same port at the same address and port.
func (s *Service) once(list []Endpoint) []Endpoint {
	type place struct {
		port string
		at   netip.AddrPort
	}
	taken := map[place]int{}
	var out []Endpoint
	add := func(ep Endpoint, ports ...ServicePort) {
		for _, p := range ports {
			if i, twice := taken[place{p.Name, ep.At(p)}]; twice {
				out[i].Condition = min(out[i].Condition, ep.Condition)
				out[i].Local = out[i].Local || ep.Local
				return
			}
		}
		for _, p := range ports {
			taken[place{p.Name, ep.At(p)}] = len(out)
		}
		out = append(out, ep)
	}
	twice := s.partly(list)
	for _, ep := range list {
		if !twice[ep.Addr] {
			add(ep, s.served(ep)...)
			continue
		}
		// One that shares only some of its ports with another stands for each apart.
		for _, p := range s.served(ep) {
			one := ep
			one.Port, one.Only = ep.At(p).Port(), p.Name
			add(one, p)
		}
	}
	return out
}

// served is the ports of the Service that an endpoint serves.
func (s *Service) served(ep Endpoint) []ServicePort {
	if ep.Only == "" {
		return s.Ports
	}
	i := slices.IndexFunc(s.Ports, func(p ServicePort) bool { return p.Name == ep.Only })
	return s.Ports[i : i+1]
}

// partly tells of which addresses there are endpoints for one port and for all.
func (s *Service) partly(list []Endpoint) map[netip.Addr]bool {
	all, one, both := map[netip.Addr]Endpoint{}, map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, ep := range list {
		first, known := all[ep.Addr]
		switch {
		case len(s.Ports) < 2:
		case ep.Only != "":
			one[ep.Addr] = true
		case known && first.Port != ep.Port:
			both[ep.Addr] = true
		default:
			all[ep.Addr] = ep
		}
		if _, known := all[ep.Addr]; known && one[ep.Addr] {
			both[ep.Addr] = true
		}
	}
	return both
}
