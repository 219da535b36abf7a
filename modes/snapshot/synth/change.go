package synth

import (
	"cmp"
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
	n := len(snap.Services) / s.Width()
	switch kind {
	case modes.ServiceAdd:
		next, svc := s.come(snap)
		return next, svc, nil
	case modes.ServiceDelete:
		if n == 0 {
			return snap, nil, fmt.Errorf("%s: no service to delete", kind)
		}
		next, svc := s.gone(snap)
		return next, svc, nil
	case modes.EndpointAdd, modes.EndpointDelete:
		if n == 0 {
			return snap, nil, fmt.Errorf("%s: no service to change", kind)
		}
		udp := s.UDPPositions()
		at := min(udp[len(udp)/2], n-1)
		for _, svc := range snap.Services[at*s.Width() : (at+1)*s.Width()] {
			if kind == modes.EndpointDelete && len(svc.Endpoints) == 0 {
				return snap, nil, fmt.Errorf("%s: service %s has no endpoint", kind, svc.Key())
			}
		}
		next, svc := s.edit(snap, at, func(of Spec, svc *modes.Service) {
			if kind == modes.EndpointAdd {
				svc.Endpoints = append(slices.Clone(svc.Endpoints), modes.Endpoint{Addr: of.SpareEndpoint(0)})
			} else {
				svc.Endpoints = slices.Clone(svc.Endpoints[:len(svc.Endpoints)-1])
			}
		})
		return next, svc, nil
	}
	return snap, nil, fmt.Errorf("unknown change %q: valid are %v", kind, modes.ChangeKinds())
}

// come adds the next Service at the end, gone takes the last one away, and edit changes the
// Service at a position: of a dual-stack one both families. Each returns the Service that it
// is about, of IPv4 if there are two.
func (s Spec) come(snap modes.Snapshot) (modes.Snapshot, *modes.Service) {
	added := s.both(len(snap.Services) / s.Width())
	for _, svc := range added {
		snap = snap.With(svc)
	}
	return snap, added[0]
}

func (s Spec) gone(snap modes.Snapshot) (modes.Snapshot, *modes.Service) {
	first := len(snap.Services) - s.Width()
	svc := snap.Services[first]
	for i := len(snap.Services) - 1; i >= first; i-- {
		snap = snap.Without(i)
	}
	return snap, svc
}

// edit gives change a copy to change, with the Spec as it is for its family.
func (s Spec) edit(snap modes.Snapshot, position int, change func(of Spec, svc *modes.Service)) (modes.Snapshot, *modes.Service) {
	w := s.Width()
	var first *modes.Service
	for _, old := range snap.Services[position*w : (position+1)*w] {
		svc := *old
		s.Family = svc.Family()
		change(s, &svc)
		snap, first = snap.With(&svc), cmp.Or(first, &svc)
	}
	return snap, first
}
