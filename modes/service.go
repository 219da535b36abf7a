package modes

import (
	"cmp"
	"errors"
	"fmt"
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

// Endpoint is one real server behind a Service.
type Endpoint struct {
	// Addr is the address; the port is the ServicePort's TargetPort.
	Addr netip.Addr
	// Local is whether the endpoint runs on this node, for external traffic
	// policy Local.
	Local bool
	// Weight is the endpoint's share beside the others', for IPVS's schedulers that
	// go by weights; 0 is the default, 1.
	Weight uint16
}

// ServicePort is one port of a Service: what clients dial and what endpoints
// listen on.
type ServicePort struct {
	Name       string
	Protocol   Protocol
	Port       uint16
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

// Local lists the endpoints on this node.
func (s *Service) Local() []Endpoint {
	return slices.DeleteFunc(slices.Clone(s.Endpoints), func(ep Endpoint) bool { return !ep.Local })
}

// Limits of what a Service may ask for, as Kubernetes has them.
const (
	MaxAffinity = 24 * time.Hour
	MinNodePort = 30000
	MaxNodePort = 32767
)

// validate says what is wrong with the Service alone.
func (s *Service) validate() error {
	addrs := slices.Concat([]netip.Addr{s.ClusterIP}, s.ExternalIPs, s.LoadBalancerIPs)
	for _, r := range s.SourceRanges {
		addrs = append(addrs, r.Addr())
	}
	for _, a := range addrs {
		if a.IsLoopback() {
			return fmt.Errorf("service %s: %s is a loopback address, which no packet from elsewhere may have, and packets to it never come to IPVS", s.Key(), a)
		}
	}
	for _, ep := range s.Endpoints {
		addrs = append(addrs, ep.Addr)
	}
	for _, a := range addrs {
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			return fmt.Errorf("service %s: %q is no plain IPv4 or IPv6 address", s.Key(), a)
		}
		if FamilyOf(a) != s.Family() {
			return fmt.Errorf("service %s: families cannot be mixed in one service, but it has %s and %s (a dual-stack service is two of the same name)", s.Key(), s.ClusterIP, a)
		}
	}
	if s.Affinity < 0 || s.Affinity > MaxAffinity || s.Affinity%time.Second != 0 {
		return fmt.Errorf("service %s: affinity must be 0 to %s in whole seconds, got %s", s.Key(), MaxAffinity, s.Affinity)
	}
	for _, p := range s.Ports {
		if p.Protocol.Number() == 0 || p.Port == 0 || p.TargetPort == 0 {
			return fmt.Errorf("service %s port %q: %s %d to %d is no usable port", s.Key(), p.Name, p.Protocol, p.Port, p.TargetPort)
		}
		if p.NodePort != 0 && (p.NodePort < MinNodePort || p.NodePort > MaxNodePort) {
			return fmt.Errorf("service %s port %q: node port must be %d to %d, got %d", s.Key(), p.Name, MinNodePort, MaxNodePort, p.NodePort)
		}
	}
	return nil
}

// Key is the name by which Services are ordered and told apart.
func (s *Service) Key() string { return s.Namespace + "/" + s.Name }

// PortName is the name of a Service port, "namespace/name:port", from which
// kube-proxy derives its chain names.
func (s *Service) PortName(p ServicePort) string {
	return s.Namespace + "/" + s.Name + ":" + p.Name
}

// Compare orders Services by namespace, name and family.
func (s *Service) Compare(o *Service) int {
	if c := cmp.Or(cmp.Compare(s.Namespace, o.Namespace), cmp.Compare(s.Name, o.Name)); c != 0 {
		return c
	}
	return cmp.Compare(s.ClusterIP.BitLen(), o.ClusterIP.BitLen())
}

// Snapshot is the whole desired state of a node's Services.
//
// Services are sorted by [Service.Compare]; that order is the order of the
// rules, so a Service's position in the slice is its position in a chain.
type Snapshot struct {
	Services []*Service
	// ClusterCIDR is the range of the pods, ClusterCIDR6 that of IPv6. Traffic to a
	// VIP from outside it is masqueraded, as kube-proxy does with --cluster-cidr.
	ClusterCIDR, ClusterCIDR6 netip.Prefix
}

// Validate says what is wrong with a Snapshot before anything is programmed:
// order, empty or doubled VIP:port:protocol, unknown protocols, mixed families, an
// endpoint at one of the node's own addresses.
func (s Snapshot) Validate(node ...netip.Addr) error {
	if c, c6 := s.ClusterCIDR, s.ClusterCIDR6; c.IsValid() && !c.Addr().Is4() || c6.IsValid() && !c6.Addr().Is6() {
		return fmt.Errorf("cluster ranges %s and %s: families cannot be mixed, the first is of IPv4, the second of IPv6", c, c6)
	}
	if !slices.IsSortedFunc(s.Services, (*Service).Compare) {
		return errors.New("services are not sorted by namespace and name")
	}
	type front struct {
		addr  netip.Addr
		port  uint16
		proto Protocol
	}
	seen := make(map[front]*Service, len(s.Services))
	for i, svc := range s.Services {
		if i > 0 && svc.Compare(s.Services[i-1]) == 0 {
			return fmt.Errorf("service %s occurs twice", svc.Key())
		}
		if err := svc.validate(); err != nil {
			return err
		}
		for _, ep := range svc.Endpoints {
			if slices.Contains(node, ep.Addr) {
				return fmt.Errorf("service %s: endpoint %s is an address of the node itself, which the lab's endpoints do not run on", svc.Key(), ep.Addr)
			}
		}
		for _, p := range svc.Ports {
			claims := []front{{svc.ClusterIP, p.Port, p.Protocol}}
			for _, a := range slices.Concat(svc.ExternalIPs, svc.LoadBalancerIPs) {
				claims = append(claims, front{a, p.Port, p.Protocol})
			}
			if h := svc.HealthPort; h != 0 && p.NodePort == h {
				return fmt.Errorf("service %s: node port %d is its health check port too", svc.Key(), h)
			}
			if p.NodePort != 0 {
				claims = append(claims, front{svc.Family().Unspecified(), p.NodePort, p.Protocol})
			}
			for _, f := range claims {
				if o := seen[f]; o != nil {
					return fmt.Errorf("services %s and %s both claim %s:%d/%s", o.Key(), svc.Key(), f.addr, f.port, f.proto)
				}
				seen[f] = svc
			}
		}
	}
	return nil
}

// Ports counts the Service ports of a Snapshot.
func (s Snapshot) Ports() int {
	n := 0
	for _, svc := range s.Services {
		n += len(svc.Ports)
	}
	return n
}

// With returns a Snapshot in which svc is added, or takes the place of the
// Service of the same key. The receiver is unchanged.
func (s Snapshot) With(svc *Service) Snapshot {
	i, found := slices.BinarySearchFunc(s.Services, svc, (*Service).Compare)
	out := make([]*Service, 0, len(s.Services)+1)
	out = append(out, s.Services[:i]...)
	out = append(out, svc)
	if found {
		i++
	}
	s.Services = append(out, s.Services[i:]...)
	return s
}

// Without returns a Snapshot that lacks the Service at index i. The receiver
// is unchanged.
func (s Snapshot) Without(i int) Snapshot {
	out := make([]*Service, 0, len(s.Services)-1)
	out = append(out, s.Services[:i]...)
	s.Services = append(out, s.Services[i+1:]...)
	return s
}
