package kube

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"viplab/modes"
)

// slice is the endpoints of an EndpointSlice.
func (v *view) slice(f found[*discoveryv1.EndpointSlice], name string) (part, error) {
	out := part{position: f.position, object: name, ports: f.object.Ports, family: modes.IPv4}
	if f.object.AddressType == discoveryv1.AddressTypeIPv6 {
		out.family = modes.IPv6
	}
	for _, ep := range f.object.Endpoints {
		if len(ep.Addresses) == 0 {
			return out, f.errorf(name, "an endpoint has no address")
		}
		// Further addresses of one endpoint are for nobody to use.
		a, err := netip.ParseAddr(ep.Addresses[0])
		if err != nil || modes.FamilyOf(a) != out.family {
			return out, f.errorf(name, "endpoint %q is no address of type %s", ep.Addresses[0], f.object.AddressType)
		}
		out.endpoints = append(out.endpoints, modes.Endpoint{
			Addr: a, Local: v.node != "" && ep.NodeName != nil && *ep.NodeName == v.node, Condition: condition(ep.Conditions),
			NodeHint: v.nodeHint(ep.Hints), ZoneHint: v.zoneHint(ep.Hints),
		})
	}
	return out, nil
}

// condition is what three conditions come to. One that is not given is true, but
// terminating, which is false.
func condition(c discoveryv1.EndpointConditions) modes.Condition {
	is := func(b *bool, otherwise bool) bool {
		if b == nil {
			return otherwise
		}
		return *b
	}
	switch {
	case is(c.Ready, true):
		return modes.Ready
	case is(c.Serving, true) && is(c.Terminating, false):
		return modes.Terminating
	}
	return modes.Unready
}

func (v *view) nodeHint(h *discoveryv1.EndpointHints) modes.Hint {
	if h == nil || len(h.ForNodes) == 0 {
		return modes.NoHint
	}
	if slices.ContainsFunc(h.ForNodes, func(n discoveryv1.ForNode) bool { return n.Name == v.node }) {
		return modes.Here
	}
	return modes.Elsewhere
}

func (v *view) zoneHint(h *discoveryv1.EndpointHints) modes.Hint {
	if h == nil || len(h.ForZones) == 0 {
		return modes.NoHint
	}
	if slices.ContainsFunc(h.ForZones, func(z discoveryv1.ForZone) bool { return z.Name == v.zone }) {
		return modes.Here
	}
	return modes.Elsewhere
}

// subsets is the endpoints of an Endpoints object: of a subset those of each family.
func (v *view) subsets(f found[*corev1.Endpoints]) (out []part, err error) {
	name := key("Endpoints", f.object.Namespace, f.object.Name)
	for _, s := range f.object.Subsets {
		var ports []discoveryv1.EndpointPort
		for _, p := range s.Ports {
			ports = append(ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol})
		}
		byFamily := map[modes.Family]*part{}
		for i, a := range slices.Concat(s.Addresses, s.NotReadyAddresses) {
			ip, err := netip.ParseAddr(a.IP)
			if err != nil {
				return nil, f.errorf(name, "endpoint %q is no address", a.IP)
			}
			ep := modes.Endpoint{Addr: ip, Local: v.node != "" && a.NodeName != nil && *a.NodeName == v.node}
			if i >= len(s.Addresses) {
				ep.Condition = modes.Unready
			}
			p := byFamily[modes.FamilyOf(ip)]
			if p == nil {
				p = &part{position: f.position, object: name, ports: ports, family: modes.FamilyOf(ip)}
				byFamily[p.family] = p
			}
			p.endpoints = append(p.endpoints, ep)
		}
		for _, family := range modes.Dual.Parts() {
			if p := byFamily[family]; p != nil {
				out = append(out, *p)
			}
		}
	}
	return out, nil
}

// addEndpoints gives a Service the endpoints of its family. Where each serves all of the
// Service's ports, at one number each, the number is the port's; otherwise it is the
// endpoint's.
func (v *view) addEndpoints(svc *modes.Service, parts []part) {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.family != svc.Family() || len(p.endpoints) == 0 })
	whole := true
	numbers := make([]uint16, len(svc.Ports))
	for _, p := range parts {
		for i, sp := range svc.Ports {
			n, has := p.number(sp)
			whole = whole && has && (numbers[i] == 0 || numbers[i] == n)
			numbers[i] = n
		}
	}
	if whole {
		for i := range svc.Ports {
			if numbers[i] != 0 {
				svc.Ports[i].TargetPort = numbers[i]
			}
		}
		for _, p := range parts {
			svc.Endpoints = append(svc.Endpoints, p.endpoints...)
		}
		return
	}
	for _, p := range parts {
		for _, sp := range svc.Ports {
			n, has := p.number(sp)
			if !has {
				continue
			}
			for _, ep := range p.endpoints {
				ep.Port = n
				if len(svc.Ports) > 1 {
					ep.Only = sp.Name
				}
				svc.Endpoints = append(svc.Endpoints, ep)
			}
		}
	}
}

// number is the endpoints' port for one of the Service's, found by name and protocol.
func (p part) number(sp modes.ServicePort) (uint16, bool) {
	for _, ep := range p.ports {
		name, proto := "", corev1.ProtocolTCP
		if ep.Name != nil {
			name = *ep.Name
		}
		if ep.Protocol != nil && *ep.Protocol != "" {
			proto = *ep.Protocol
		}
		if name == sp.Name && strings.EqualFold(string(proto), string(sp.Protocol)) && ep.Port != nil && *ep.Port > 0 && *ep.Port <= 65535 {
			return uint16(*ep.Port), true
		}
	}
	return 0, false
}
