// Package kubetest makes Kubernetes objects like those of a real cluster, for tests: most
// Services are small ClusterIPs, a few have very many endpoints, and all that the API
// offers occurs: node ports, balancers with source ranges, traffic policies, named target
// ports, headless and ExternalName Services, dual stack, endpoints that terminate.
package kubetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Spec says what cluster to make; the same Spec makes the same objects.
type Spec struct {
	Services int
	Seed     uint64
}

// Ranges of the cluster's addresses, as kubeadm's documentation has them, and of others'.
// None of them is the lab's own.
const (
	serviceRange, serviceRange6 = "172.20.0.0", "fd00:20::"
	podRange, podRange6         = "100.64.0.0", "fd00:64::"
	balancerRange               = "198.18.0.0"
)

// nodes is how many nodes run the pods, in three zones.
const nodes, zones = 12, 3

// Objects yields the objects: each Service, then its EndpointSlices.
func (s Spec) Objects(yield func(any) error) error {
	m := &maker{Rand: rand.New(rand.NewPCG(s.Seed, 1))}
	for i := range s.Services {
		svc := m.service(i)
		if err := yield(svc); err != nil {
			return err
		}
		if svc.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		for _, slice := range m.slices(svc) {
			if err := yield(slice); err != nil {
				return err
			}
		}
	}
	return nil
}

type maker struct {
	*rand.Rand
	pods, balancers uint32
	nodePort        int32
}

// uid is the identity of an object.
func (m *maker) uid() types.UID {
	return types.UID(fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", m.Uint32(), m.IntN(1<<16), m.IntN(1<<12), m.IntN(1<<12), m.Uint64()>>16))
}

// one tells with a chance of 1 in n.
func (m *maker) one(n int) bool { return m.IntN(n) == 0 }

// after is the n-th address behind another.
func after(first string, n uint32) string {
	b := netip.MustParseAddr(first).AsSlice()
	for i, k := len(b)-1, n; k > 0; i-- {
		k += uint32(b[i])
		b[i] = byte(k)
		k >>= 8
	}
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

func (m *maker) service(i int) *corev1.Service {
	svc := &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("team-%02d", m.IntN(20)), Name: fmt.Sprintf("app-%05d", i),
			Labels:      map[string]string{"app.kubernetes.io/name": fmt.Sprintf("app-%05d", i)},
			Annotations: map[string]string{"meta.helm.sh/release-name": fmt.Sprintf("app-%05d", i)}, UID: m.uid(), ResourceVersion: fmt.Sprint(1000 + i)},
	}
	spec := &svc.Spec
	spec.Selector = map[string]string{"app.kubernetes.io/name": svc.Name}
	spec.Type, spec.SessionAffinity = corev1.ServiceTypeClusterIP, corev1.ServiceAffinityNone
	spec.ClusterIPs, spec.IPFamilies = []string{after(serviceRange, uint32(i+10))}, []corev1.IPFamily{corev1.IPv4Protocol}
	if m.one(8) {
		spec.ClusterIPs = append(spec.ClusterIPs, after(serviceRange6, uint32(i+10)))
		spec.IPFamilies = append(spec.IPFamilies, corev1.IPv6Protocol)
	}
	cluster := corev1.ServiceInternalTrafficPolicyCluster
	spec.InternalTrafficPolicy = &cluster
	m.ports(spec)
	switch kind := m.IntN(100); {
	case kind < 8:
		spec.ClusterIPs = []string{corev1.ClusterIPNone}
	case kind < 11:
		*spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.org"}
		return svc
	case kind < 23:
		m.expose(spec, corev1.ServiceTypeNodePort)
	case kind < 33:
		m.expose(spec, corev1.ServiceTypeLoadBalancer)
		m.balance(svc)
	case kind < 36:
		spec.ExternalIPs = []string{m.balancer()}
	case kind < 40:
		local := corev1.ServiceInternalTrafficPolicyLocal
		spec.InternalTrafficPolicy = &local
	}
	spec.ClusterIP = spec.ClusterIPs[0]
	if m.one(12) {
		spec.SessionAffinity = corev1.ServiceAffinityClientIP
		timeout := int32(10800)
		spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &timeout}}
	}
	return svc
}

// ports gives a Service one to three ports.
func (m *maker) ports(spec *corev1.ServiceSpec) {
	spec.Ports = []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(8080)}}
	if m.one(3) {
		spec.Ports[0].TargetPort = intstr.FromString("http")
	}
	if m.one(4) {
		spec.Ports = append(spec.Ports, corev1.ServicePort{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9090, TargetPort: intstr.FromInt32(9090)})
	}
	if m.one(10) {
		spec.Ports = append(spec.Ports, corev1.ServicePort{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(5353)})
	}
}

func (m *maker) expose(spec *corev1.ServiceSpec, typ corev1.ServiceType) {
	spec.Type = typ
	for i := range spec.Ports {
		spec.Ports[i].NodePort = m.port()
	}
	spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	if m.one(3) {
		spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
}

// port is the next node port; beyond Kubernetes' own range it goes on.
func (m *maker) port() int32 {
	m.nodePort++
	return 29999 + m.nodePort
}

func (m *maker) balancer() string {
	m.balancers++
	return after(balancerRange, m.balancers)
}

func (m *maker) balance(svc *corev1.Service) {
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		svc.Spec.HealthCheckNodePort = m.port()
	}
	in := corev1.LoadBalancerIngress{IP: m.balancer()}
	switch {
	case m.one(5):
		in = corev1.LoadBalancerIngress{Hostname: svc.Name + ".elb.example.org"}
	case m.one(4):
		mode := corev1.LoadBalancerIPModeProxy
		in.IPMode = &mode
	}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{in}
	if m.one(3) {
		svc.Spec.LoadBalancerSourceRanges = [][]string{{"192.0.2.0/24", "203.0.113.0/24"}, {"0.0.0.0/0"}}[m.IntN(2)]
	}
}

// size is how many endpoints a Service has: mostly two or three, seldom very many.
func (m *maker) size() int {
	switch kind := m.IntN(100); {
	case kind < 6:
		return 0
	case kind < 80:
		return 1 + m.IntN(3)
	case kind < 98:
		return 3 + m.IntN(10)
	}
	return 40 + m.IntN(120)
}

// slices are a Service's EndpointSlices: one a family, two where pods give a named port
// different numbers.
func (m *maker) slices(svc *corev1.Service) (out []*discoveryv1.EndpointSlice) {
	n := m.size()
	split := n > 1 && svc.Spec.Ports[0].TargetPort.Type == intstr.String && m.one(3)
	first := m.pods
	m.pods += uint32(n)
	for _, family := range svc.Spec.IPFamilies {
		typ, from := discoveryv1.AddressTypeIPv4, podRange
		if family == corev1.IPv6Protocol {
			typ, from = discoveryv1.AddressTypeIPv6, podRange6
		}
		at := 0
		if split {
			at = n / 2
			out = append(out, m.slice(svc, typ, 8081, first, 0, at, from))
		}
		out = append(out, m.slice(svc, typ, 8080, first, at, n, from))
	}
	return out
}

func (m *maker) slice(svc *corev1.Service, typ discoveryv1.AddressType, http int32, first uint32, from, to int, addrs string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: fmt.Sprintf("%s-%s-%d", svc.Name, typ, http),
			Labels:      map[string]string{discoveryv1.LabelServiceName: svc.Name, discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io"},
			Annotations: map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}, UID: m.uid(),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: svc.Name, UID: svc.UID}}},
		AddressType: typ,
	}
	for _, p := range svc.Spec.Ports {
		port := p.TargetPort.IntVal
		if p.Name == "http" {
			port = http
		}
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &port})
	}
	hints := m.one(6)
	for i := from; i < to; i++ {
		s.Endpoints = append(s.Endpoints, m.endpoint(after(addrs, first+uint32(i)+5), hints))
	}
	return s
}

func (m *maker) endpoint(addr string, hints bool) discoveryv1.Endpoint {
	n := m.IntN(nodes)
	node, zone := fmt.Sprintf("node-%02d", n), fmt.Sprintf("zone-%c", 'a'+n%zones)
	ready, serving, terminating := true, true, false
	switch kind := m.IntN(100); {
	case kind < 3:
		ready, terminating = false, true
	case kind < 6:
		ready, serving = false, false
	}
	ep := discoveryv1.Endpoint{Addresses: []string{addr}, NodeName: &node, Zone: &zone,
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: "pod-" + addr, UID: m.uid()}}
	if hints {
		ep.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: zone}}}
	}
	return ep
}
