package modes

import (
	"net/netip"
	"slices"
	"unsafe"
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

	edit edit
	// divided is the same Services by family, nil where that is not known.
	divided *divided
}

// edit is how a Snapshot was made from another: what kube-proxy is told by the API server,
// and need not find out.
type edit struct {
	from, to []*Service
	change   Change
}

// tells whether to was made from from, so that they differ by e's change alone.
func (e *edit) tells(from, to []*Service) bool {
	return e.to != nil && same(e.from, from) && same(e.to, to)
}

// same tells whether two lists are one, which costs nothing.
func same(a, b []*Service) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
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
	change, rest := Change{New: svc}, i
	if found {
		change.Old, rest = s.Services[i], i+1
	}
	return s.edited(i, change, rest)
}

// Without returns a Snapshot that lacks the Service at index i. The receiver
// is unchanged.
func (s Snapshot) Without(i int) Snapshot {
	return s.edited(i, Change{Old: s.Services[i]}, i+1)
}

// edited is a copy with the change at an index; the Services from rest on come after it.
func (s Snapshot) edited(at int, c Change, rest int) Snapshot {
	out := make([]*Service, 0, len(s.Services)+1)
	out = append(out, s.Services[:at]...)
	if c.New != nil {
		out = append(out, c.New)
	}
	out = append(out, s.Services[rest:]...)
	s.edit = edit{s.Services, out, c}
	s.divided = s.divided.after(s.edit)
	s.Services = out
	return s
}
