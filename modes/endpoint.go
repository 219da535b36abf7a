package modes

import (
	"net/netip"
	"slices"
)

// Endpoint is one real server behind a Service. Two endpoints may have one address, on
// different ports.
type Endpoint struct {
	// Addr is the address.
	Addr netip.Addr
	// Port is the port that the endpoint listens on, 0 for the ServicePort's TargetPort.
	// A target port that pods name has a number of its own in each.
	Port uint16
	// Only is the name of the one ServicePort that the endpoint serves, "" if it serves
	// all of them.
	Only string
	// Local is whether the endpoint runs on this node, for the traffic policies Local.
	Local bool
	// Condition is whether it may be given traffic.
	Condition Condition
	// NodeHint and ZoneHint are for whom the endpoint is meant (topology hints).
	NodeHint, ZoneHint Hint
	// Weight is the endpoint's share beside the others', for IPVS's schedulers that
	// go by weights; 0 is the default, 1.
	Weight uint16
}

// Condition is what the conditions ready, serving and terminating of an EndpointSlice
// come to for a proxy.
type Condition uint8

// Conditions.
const (
	// Ready endpoints are given traffic.
	Ready Condition = iota
	// Terminating endpoints still serve, and are given traffic where no ready one is.
	Terminating
	// Unready endpoints are given none.
	Unready
)

// Hint is for whom an endpoint is meant, as seen from this node.
type Hint uint8

// Hints.
const (
	NoHint    Hint = iota
	Here           // this node, or its zone, among others
	Elsewhere      // other nodes or zones only
)

// At is where an endpoint listens for a port of its Service.
func (ep Endpoint) At(p ServicePort) netip.AddrPort {
	if ep.Port != 0 {
		return netip.AddrPortFrom(ep.Addr, ep.Port)
	}
	return netip.AddrPortFrom(ep.Addr, p.TargetPort)
}

// plain tells whether nothing of an endpoint needs a decision.
func (ep Endpoint) plain() bool {
	return ep.Only == "" && ep.Condition == Ready && ep.NodeHint == NoHint && ep.ZoneHint == NoHint
}

// Reach is which endpoints of a Service port this node sends traffic to, decided as
// kube-proxy does (pkg/proxy/topology.go of 1.34 and later): ready endpoints that the
// topology hints name for this node or its zone, where every ready one has a hint and
// one of them names it; else all ready ones; else those that terminate but still serve.
// Policy Local falls back by itself: terminating endpoints of this node serve although
// others are ready elsewhere. All lists are in the order of the Service's endpoints.
type Reach struct {
	// Cluster is for traffic under policy Cluster, empty if the port has no such traffic.
	Cluster []Endpoint
	// Local is for traffic under policy Local, empty if the port has no such traffic.
	Local []Endpoint
	// All is both, each once.
	All []Endpoint
	// Any is whether there is an endpoint anywhere that could serve. Without one a
	// client is refused, otherwise ignored, so that it tries another node.
	Any bool
}

// Reach decides which endpoints of one of the Service's ports get traffic.
func (s *Service) Reach(p ServicePort) Reach {
	of := s.Endpoints
	if slices.ContainsFunc(of, func(ep Endpoint) bool { return ep.Only != "" && ep.Only != p.Name }) {
		of = pick(of, func(ep Endpoint) bool { return ep.Only == "" || ep.Only == p.Name })
	}
	r := Reach{Any: slices.ContainsFunc(of, func(ep Endpoint) bool { return ep.Condition != Unready })}
	if s.usesCluster(p) {
		r.Cluster = forCluster(of)
	}
	if s.usesLocal(p) {
		r.Local = inCondition(pick(of, func(ep Endpoint) bool { return ep.Local }))
	}
	switch {
	case len(r.Local) == 0:
		r.All = r.Cluster
	case len(r.Cluster) == 0:
		r.All = r.Local
	case len(r.Cluster) == len(of):
		r.All = r.Cluster
	default:
		used := make(map[Endpoint]bool, len(of))
		for _, list := range [][]Endpoint{r.Cluster, r.Local} {
			for _, ep := range list {
				used[ep] = true
			}
		}
		r.All = pick(of, func(ep Endpoint) bool { return used[ep] })
	}
	return r
}

// usesCluster and usesLocal tell whether a port has traffic under either policy. What
// comes from the cluster itself to an external address is never under policy Local.
func (s *Service) usesCluster(p ServicePort) bool { return !s.InternalLocal || s.ExternalAt(p) }
func (s *Service) usesLocal(p ServicePort) bool {
	return s.InternalLocal || s.ExternalLocal && s.ExternalAt(p)
}

// forCluster is those of some endpoints that serve traffic under policy Cluster.
func forCluster(of []Endpoint) []Endpoint {
	if !slices.ContainsFunc(of, func(ep Endpoint) bool { return !ep.plain() }) {
		return of
	}
	ready := inCondition(of)
	if len(ready) == 0 || ready[0].Condition != Ready {
		return ready
	}
	for _, hint := range []func(Endpoint) Hint{
		func(ep Endpoint) Hint { return ep.NodeHint }, func(ep Endpoint) Hint { return ep.ZoneHint },
	} {
		missing := slices.ContainsFunc(ready, func(ep Endpoint) bool { return hint(ep) == NoHint })
		if here := pick(ready, func(ep Endpoint) bool { return hint(ep) == Here }); !missing && len(here) > 0 {
			return here
		}
	}
	return ready
}

// inCondition is those of some endpoints that are ready or, where none is, terminating.
func inCondition(of []Endpoint) []Endpoint {
	for _, c := range []Condition{Ready, Terminating} {
		if found := pick(of, func(ep Endpoint) bool { return ep.Condition == c }); len(found) > 0 {
			return found
		}
	}
	return nil
}

// pick is those of some endpoints that are wanted: the same slice if it is all of them.
func pick(of []Endpoint, want func(Endpoint) bool) []Endpoint {
	first := slices.IndexFunc(of, func(ep Endpoint) bool { return !want(ep) })
	if first < 0 {
		return of
	}
	out := slices.Clone(of[:first])
	for _, ep := range of[first:] {
		if want(ep) {
			out = append(out, ep)
		}
	}
	return out
}
