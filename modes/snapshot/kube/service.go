package kube

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"viplab/modes"
)

// proxyLabel names another proxy than kube-proxy that serves a Service
// (k8s.io/component-helpers, apis/v1).
const proxyLabel = "service.kubernetes.io/service-proxy-name"

// service makes Services of one object, one for each address family. It makes none of what
// no proxy serves.
func (v *view) service(f found[*corev1.Service]) ([]*modes.Service, error) {
	svc := f.object
	name := serviceKey(svc.Namespace, svc.Name)
	delete(v.unused, name)
	ips := svc.Spec.ClusterIPs
	if len(ips) == 0 && svc.Spec.ClusterIP != "" {
		ips = []string{svc.Spec.ClusterIP}
	}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		v.leave(name, "ExternalName: it is a name in DNS, no proxy has to do with it")
		return nil, nil
	case slices.Contains(ips, corev1.ClusterIPNone):
		v.leave(name, "headless: clients get its endpoints from DNS, no proxy has to do with it")
		return nil, nil
	case len(ips) == 0:
		v.leave(name, "it has no cluster IP yet")
		return nil, nil
	case svc.Labels[proxyLabel] != "":
		v.leave(name, "it is served by %q (label %s)", svc.Labels[proxyLabel], proxyLabel)
		return nil, nil
	}
	outer, err := v.outer(f, name)
	if err != nil {
		return nil, err
	}
	if len(v.parts[name]) == 0 {
		v.leave(name, "no EndpointSlice is its own: it is used without endpoints")
	}
	var out []*modes.Service
	for _, text := range ips {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil, f.errorf(name, "cluster IP %q is no address", text)
		}
		one, err := v.family(f, name, ip, outer)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	v.otherFamily(name, outer, out)
	return out, nil
}

// outer is what a Service has beside its ClusterIPs, of both families.
type outer struct {
	external, balancer []netip.Addr
	sources            []netip.Prefix
}

func (v *view) outer(f found[*corev1.Service], name string) (o outer, err error) {
	spec := f.object.Spec
	if o.external, err = addresses(spec.ExternalIPs); err != nil {
		return o, f.errorf(name, "external IP %w", err)
	}
	for _, in := range f.object.Status.LoadBalancer.Ingress {
		switch {
		case in.IP == "":
			v.leave(name, "its balancer %q is known by name alone", in.Hostname)
		case in.IPMode != nil && *in.IPMode != corev1.LoadBalancerIPModeVIP:
			v.leave(name, "its balancer %s is a proxy (ipMode %s), whose address no node serves", in.IP, *in.IPMode)
		default:
			ip, err := netip.ParseAddr(in.IP)
			if err != nil {
				return o, f.errorf(name, "balancer %q is no address", in.IP)
			}
			o.balancer = append(o.balancer, ip)
		}
	}
	for _, text := range spec.LoadBalancerSourceRanges {
		// The API server lets spaces around a range pass.
		r, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return o, f.errorf(name, "source range %q is no range", text)
		}
		o.sources = append(o.sources, r)
	}
	return o, nil
}

func addresses(list []string) (out []netip.Addr, err error) {
	for _, text := range list {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no address", text)
		}
		out = append(out, a)
	}
	return out, nil
}

// otherFamily notes the addresses of families in which the Service has no ClusterIP.
func (v *view) otherFamily(name string, o outer, services []*modes.Service) {
	for _, a := range slices.Concat(o.external, o.balancer) {
		if !slices.ContainsFunc(services, func(s *modes.Service) bool { return s.Family() == modes.FamilyOf(a) }) {
			v.leave(name, "address %s is of a family in which it has no cluster IP", a)
		}
	}
}

// family is the Service of one family.
func (v *view) family(f found[*corev1.Service], name string, ip netip.Addr, o outer) (*modes.Service, error) {
	spec, family := f.object.Spec, modes.FamilyOf(ip)
	other := func(a netip.Addr) bool { return modes.FamilyOf(a) != family }
	svc := &modes.Service{
		Namespace: cmp.Or(f.object.Namespace, corev1.NamespaceDefault), Name: f.object.Name, ClusterIP: ip,
		ExternalIPs:     slices.DeleteFunc(slices.Clone(o.external), other),
		LoadBalancerIPs: slices.DeleteFunc(slices.Clone(o.balancer), other),
		SourceRanges:    slices.DeleteFunc(slices.Clone(o.sources), func(r netip.Prefix) bool { return other(r.Addr()) }),
		InternalLocal:   spec.InternalTrafficPolicy != nil && *spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal,
		PublishUnready:  spec.PublishNotReadyAddresses,
	}
	svc.ExternalLocal = spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal &&
		(typeOf(f.object) != corev1.ServiceTypeClusterIP || len(spec.ExternalIPs) > 0)
	if svc.ExternalLocal && typeOf(f.object) == corev1.ServiceTypeLoadBalancer {
		port, err := number(spec.HealthCheckNodePort)
		if err != nil {
			return nil, f.errorf(name, "health check node port %w", err)
		}
		svc.HealthPort = port
	}
	if spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		svc.Affinity = affinity(spec.SessionAffinityConfig)
	}
	for _, p := range spec.Ports {
		port, err := servicePort(p)
		if err != nil {
			return nil, f.errorf(name, "port %q: %w", p.Name, err)
		}
		svc.Ports = append(svc.Ports, port)
	}
	v.addEndpoints(svc, v.parts[name])
	return svc, nil
}

func servicePort(p corev1.ServicePort) (out modes.ServicePort, err error) {
	out.Name = p.Name
	out.Protocol = modes.Protocol(strings.ToLower(string(cmp.Or(p.Protocol, corev1.ProtocolTCP))))
	if out.Port, err = number(p.Port); err != nil {
		return out, err
	}
	if out.NodePort, err = number(p.NodePort); err != nil {
		return out, fmt.Errorf("node port %w", err)
	}
	// The number, if it is one and not 0, which means the Service's own. A name has a
	// number in the slices.
	if out.TargetPort, err = number(p.TargetPort.IntVal); err != nil {
		return out, fmt.Errorf("target port %w", err)
	}
	if out.TargetPort == 0 && p.TargetPort.StrVal == "" {
		out.TargetPort = out.Port
	}
	return out, nil
}

// number is a port out of a field that could hold more.
func number(n int32) (uint16, error) {
	if n < 0 || n > 65535 {
		return 0, fmt.Errorf("%d is no port", n)
	}
	return uint16(n), nil
}

// affinity is for how long a client keeps its endpoint: three hours unless it says so.
func affinity(c *corev1.SessionAffinityConfig) time.Duration {
	seconds := corev1.DefaultClientIPServiceAffinitySeconds
	if c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		seconds = *c.ClientIP.TimeoutSeconds
	}
	return time.Duration(seconds) * time.Second
}
