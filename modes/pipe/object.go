package pipe

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"viplab/modes"
)

// Names of the node and its zone, and of others, in objects and hints.
const (
	nodeName, zoneName             = "node", "zone"
	otherNodeName, otherZoneName   = "other-node", "other-zone"
	maxSlice                       = 100 // endpoints, as Kubernetes' controller has it
	serviceVersion, sliceVersion   = "v1", "discovery.k8s.io/v1"
	serviceKind, endpointSliceKind = "Service", "EndpointSlice"
)

// object is a Kubernetes object on its way.
type object struct {
	kind, name string
	text       json.RawMessage
}

// objectsOf is a Service as Kubernetes has it: a Service object, and EndpointSlices.
func objectsOf(svc *modes.Service) ([]object, error) {
	if svc == nil {
		return nil, nil
	}
	out, err := appendObject(nil, serviceKind, svc.Name, serviceObject(svc))
	for _, s := range slicesOf(svc) {
		if err == nil {
			out, err = appendObject(out, endpointSliceKind, s.Name, s)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("encode service %s: %w", svc.Key(), err)
	}
	return out, nil
}

func appendObject(to []object, kind, name string, o any) ([]object, error) {
	text, err := json.Marshal(o)
	return append(to, object{kind, name, text}), err
}

// serviceObject is the Service object.
func serviceObject(svc *modes.Service) *corev1.Service {
	out := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: serviceVersion, Kind: serviceKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: svc.ClusterIP.String(), ClusterIPs: []string{svc.ClusterIP.String()},
			IPFamilies: []corev1.IPFamily{ipFamily(svc.Family())}, SessionAffinity: corev1.ServiceAffinityNone,
			PublishNotReadyAddresses: svc.PublishUnready, HealthCheckNodePort: int32(svc.HealthPort),
		},
	}
	spec := &out.Spec
	for _, p := range svc.Ports {
		spec.Ports = append(spec.Ports, corev1.ServicePort{Name: p.Name, Protocol: protocolOf(p), Port: int32(p.Port),
			TargetPort: intstr.FromInt32(int32(p.TargetPort)), NodePort: int32(p.NodePort)})
		if p.NodePort != 0 {
			spec.Type = corev1.ServiceTypeNodePort
		}
	}
	for _, a := range svc.ExternalIPs {
		spec.ExternalIPs = append(spec.ExternalIPs, a.String())
	}
	for _, a := range svc.LoadBalancerIPs {
		spec.Type = corev1.ServiceTypeLoadBalancer
		out.Status.LoadBalancer.Ingress = append(out.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a.String()})
	}
	for _, r := range svc.SourceRanges {
		spec.LoadBalancerSourceRanges = append(spec.LoadBalancerSourceRanges, r.String())
	}
	if svc.External() {
		spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	}
	if svc.External() && svc.ExternalLocal {
		spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	internal := corev1.ServiceInternalTrafficPolicyCluster
	if svc.InternalLocal {
		internal = corev1.ServiceInternalTrafficPolicyLocal
	}
	spec.InternalTrafficPolicy = &internal
	if svc.Affinity > 0 {
		spec.SessionAffinity = corev1.ServiceAffinityClientIP
		seconds := int32((svc.Affinity + time.Second - 1) / time.Second)
		spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
	}
	return out
}

func ipFamily(f modes.Family) corev1.IPFamily {
	if f == modes.IPv6 {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

func protocolOf(p modes.ServicePort) corev1.Protocol {
	switch p.Protocol {
	case modes.UDP:
		return corev1.ProtocolUDP
	case modes.SCTP:
		return corev1.ProtocolSCTP
	}
	return corev1.ProtocolTCP
}

// slicesOf is a Service's endpoints: in one EndpointSlice are those that listen on the
// same ports, since all endpoints of a slice do.
func slicesOf(svc *modes.Service) (out []*discoveryv1.EndpointSlice) {
	type ports struct {
		port uint16
		only string
	}
	open := map[ports]*discoveryv1.EndpointSlice{}
	for _, ep := range svc.Endpoints {
		key := ports{ep.Port, ep.Only}
		s := open[key]
		if s == nil || len(s.Endpoints) == maxSlice {
			s = emptySlice(svc, ep, len(out))
			open[key] = s
			out = append(out, s)
		}
		s.Endpoints = append(s.Endpoints, endpoint(ep))
	}
	return out
}

// emptySlice is an EndpointSlice with the ports that an endpoint listens on.
func emptySlice(svc *modes.Service, ep modes.Endpoint, i int) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: sliceVersion, Kind: endpointSliceKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: fmt.Sprintf("%s-%d", svc.Name, i),
			Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name}},
		AddressType: discoveryv1.AddressType(ipFamily(svc.Family())),
	}
	for _, p := range svc.Ports {
		if ep.Only != "" && ep.Only != p.Name {
			continue
		}
		name, protocol, port := p.Name, protocolOf(p), int32(ep.At(p).Port())
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &port})
	}
	return s
}

// endpoint is one endpoint of an EndpointSlice.
func endpoint(ep modes.Endpoint) discoveryv1.Endpoint {
	ready, serving, terminating := ep.Condition == modes.Ready, ep.Condition != modes.Unready, ep.Condition == modes.Terminating
	node := otherNodeName
	if ep.Local {
		node = nodeName
	}
	out := discoveryv1.Endpoint{Addresses: []string{ep.Addr.String()}, NodeName: &node,
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}}
	if ep.NodeHint == modes.NoHint && ep.ZoneHint == modes.NoHint {
		return out
	}
	out.Hints = &discoveryv1.EndpointHints{}
	if n := named(ep.NodeHint, nodeName, otherNodeName); n != "" {
		out.Hints.ForNodes = []discoveryv1.ForNode{{Name: n}}
	}
	if z := named(ep.ZoneHint, zoneName, otherZoneName); z != "" {
		out.Hints.ForZones = []discoveryv1.ForZone{{Name: z}}
	}
	return out
}

// named is what a hint names.
func named(h modes.Hint, here, elsewhere string) string {
	switch h {
	case modes.Here:
		return here
	case modes.Elsewhere:
		return elsewhere
	}
	return ""
}

// nodeOf is the node of a Snapshot of one family.
func nodeOf(s modes.Snapshot, f modes.Family) *Node {
	n := &Node{Name: nodeName, Zone: zoneName, MasqueradeAll: s.Node.MasqueradeAll, LocalhostNodePorts: !s.Node.NoLocalhostNodePorts}
	for _, a := range s.Node.Addrs {
		if modes.FamilyOf(a) == f {
			n.Addresses = append(n.Addresses, a.String())
		}
	}
	for _, r := range s.Node.NodePortAddresses {
		if modes.FamilyOf(r.Addr()) == f {
			n.NodePortAddresses = append(n.NodePortAddresses, r.String())
		}
	}
	if s.ClusterCIDR.IsValid() {
		n.ClusterCIDR = s.ClusterCIDR.String()
	}
	return n
}
