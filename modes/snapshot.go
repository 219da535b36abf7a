package modes

import (
	"net/netip"
	"slices"
)

// Snapshot is the whole desired state of a node's Services.
//
// Services are sorted by [Service.Compare]; that order is the order of the
// rules, so a Service's position in the slice is its position in a chain.
type Snapshot struct {
	Services []*Service
	// ClusterCIDR is the range of the pods, ClusterCIDR6 that of IPv6. Traffic to a
	// VIP from outside it is masqueraded, as kube-proxy does with --cluster-cidr.
	ClusterCIDR, ClusterCIDR6 netip.Prefix
	// Node is what holds for all Services of the node.
	Node NodeConfig
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
