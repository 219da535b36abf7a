package modes

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Protocol is a transport protocol as iptables spells it.
type Protocol string

// The protocols that the lab's Services speak.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// Protocols lists them.
func Protocols() []Protocol { return []Protocol{TCP, UDP, SCTP} }

// Number gives the IP protocol number, 0 if the protocol is unknown.
func (p Protocol) Number() uint8 {
	switch p {
	case TCP:
		return 6
	case UDP:
		return 17
	case SCTP:
		return 132
	}
	return 0
}

// ServicePort is one port of a Service: what clients dial and what endpoints
// listen on.
type ServicePort struct {
	// Name tells the ports of a Service apart.
	Name     string
	Protocol Protocol
	Port     uint16
	// TargetPort is where endpoints listen that have no port of their own; 0 if all
	// have, as where pods give a named port different numbers.
	TargetPort uint16
	// NodePort is a port of the node's own addresses that leads to the Service,
	// 0 for none.
	NodePort uint16
}

// Service is a virtual IP with the endpoints behind it.
//
// A Service is immutable once it stands in a Snapshot: a change makes a new
// Service. Modes rely on that, two equal pointers are the same Service.
type Service struct {
	Namespace string
	Name      string
	ClusterIP netip.Addr
	Ports     []ServicePort
	Endpoints []Endpoint
	// PublishUnready gives endpoints traffic whatever their condition
	// (publishNotReadyAddresses).
	PublishUnready bool

	// ExternalIPs and LoadBalancerIPs are further addresses of the Service.
	// SourceRanges are the only sources that LoadBalancerIPs serve, if there are
	// any.
	ExternalIPs     []netip.Addr
	LoadBalancerIPs []netip.Addr
	SourceRanges    []netip.Prefix
	// ExternalLocal is external traffic policy Local: what comes by a NodePort,
	// ExternalIP or LoadBalancerIP goes to endpoints of this node only, and keeps
	// its source address.
	ExternalLocal bool
	// InternalLocal is internal traffic policy Local: what comes by the ClusterIP goes
	// to endpoints of this node only.
	InternalLocal bool
	// HealthPort is the node's port where a load balancer asks whether the node has an
	// endpoint, 0 for none. The lab lets it through and does not answer it.
	HealthPort uint16
	// Affinity is for how long a client address keeps its endpoint, 0 for none.
	Affinity time.Duration
}

// External tells whether the Service can be reached otherwise than by its
// ClusterIP.
func (s *Service) External() bool {
	if len(s.ExternalIPs)+len(s.LoadBalancerIPs) > 0 {
		return true
	}
	for _, p := range s.Ports {
		if p.NodePort != 0 {
			return true
		}
	}
	return false
}

// Index is the place of the endpoint of an address, -1 if the Service has none.
func (s *Service) Index(a netip.Addr) int {
	return slices.IndexFunc(s.Endpoints, func(ep Endpoint) bool { return ep.Addr == a })
}

// ExternalAt tells whether a port of the Service can be reached otherwise than by the
// ClusterIP.
func (s *Service) ExternalAt(p ServicePort) bool {
	return p.NodePort != 0 || len(s.ExternalIPs)+len(s.LoadBalancerIPs) > 0
}

// Local lists the endpoints on this node.
func (s *Service) Local() []Endpoint {
	return pick(s.Endpoints, func(ep Endpoint) bool { return ep.Local })
}

// MaxAffinity is the longest session affinity, as Kubernetes has it.
const MaxAffinity = 24 * time.Hour

// Key is the name by which Services are ordered and told apart.
func (s *Service) Key() string { return s.Namespace + "/" + s.Name }

// PortName is the name of a Service port, "namespace/name:port", from which
// kube-proxy derives its chain names; "namespace/name" if the port has no name, as the only
// one of a Service may.
func (s *Service) PortName(p ServicePort) string {
	if p.Name == "" {
		return s.Key()
	}
	return s.Key() + ":" + p.Name
}

// Compare orders Services by namespace, name and family.
func (s *Service) Compare(o *Service) int {
	if c := cmp.Or(cmp.Compare(s.Namespace, o.Namespace), cmp.Compare(s.Name, o.Name)); c != 0 {
		return c
	}
	return cmp.Compare(s.ClusterIP.BitLen(), o.ClusterIP.BitLen())
}
