package synth

import (
	"fmt"
	"slices"

	"viplab/modes"
)

// Apply makes one change and returns the new Snapshot and the changed Service
// (for service-delete: the one that is gone), of a dual-stack Service the part of
// IPv4. Services come and go at the end; endpoints come and go at the Service nearest to
// the middle that has a UDP port, as the only one of a Snapshot of one Service has: so the
// change is the same at every size.
func (s Spec) Apply(snap modes.Snapshot, kind string) (modes.Snapshot, *modes.Service, error) {
	w := s.Width()
	n := len(snap.Services) / w
	switch kind {
	case modes.ServiceAdd:
		added := s.both(n)
		for _, svc := range added {
			snap = snap.With(svc)
		}
		return snap, added[0], nil
	case modes.ServiceDelete:
		if n == 0 {
			return snap, nil, fmt.Errorf("%s: no service to delete", kind)
		}
		gone := snap.Services[(n-1)*w]
		for i := w - 1; i >= 0; i-- {
			snap = snap.Without((n-1)*w + i)
		}
		return snap, gone, nil
	case modes.EndpointAdd, modes.EndpointDelete:
		if n == 0 {
			return snap, nil, fmt.Errorf("%s: no service to change", kind)
		}
		udp := s.UDPPositions()
		return s.applyEndpoint(snap, min(udp[len(udp)/2], n-1)*w, kind == modes.EndpointAdd)
	}
	return snap, nil, fmt.Errorf("unknown change %q: valid are %v", kind, modes.ChangeKinds())
}

func (s Spec) applyEndpoint(snap modes.Snapshot, at int, add bool) (modes.Snapshot, *modes.Service, error) {
	var changed []*modes.Service
	for _, old := range snap.Services[at : at+s.Width()] {
		svc := *old
		s.Family = svc.Family()
		switch {
		case add:
			svc.Endpoints = append(slices.Clone(svc.Endpoints), modes.Endpoint{Addr: s.SpareEndpoint(0)})
		case len(svc.Endpoints) == 0:
			return snap, nil, fmt.Errorf("%s: service %s has no endpoint", modes.EndpointDelete, svc.Key())
		default:
			svc.Endpoints = slices.Clone(svc.Endpoints[:len(svc.Endpoints)-1])
		}
		changed = append(changed, &svc)
	}
	for _, svc := range changed {
		snap = snap.With(svc)
	}
	return snap, changed[0], nil
}
