package synth

import (
	"fmt"
	"slices"

	"viplab/modes"
)

// The changes of one object on top of a Snapshot, as the factor `change` of
// sync_delta_seconds names them.
const (
	ServiceAdd     = "service-add"
	ServiceDelete  = "service-delete"
	EndpointAdd    = "endpoint-add"
	EndpointDelete = "endpoint-delete"
)

// ChangeKinds lists the changes in an order in which each undoes the one
// before: after all four the Snapshot is again what it was.
func ChangeKinds() []string {
	return []string{ServiceAdd, ServiceDelete, EndpointAdd, EndpointDelete}
}

// Apply makes one change and returns the new Snapshot and the changed Service
// (for service-delete: the one that is gone). Services come and go at the end;
// endpoints come and go at the Service in the middle.
func (s Spec) Apply(snap modes.Snapshot, kind string) (modes.Snapshot, *modes.Service, error) {
	last := len(snap.Services) - 1
	switch kind {
	case ServiceAdd:
		svc := s.Service(len(snap.Services))
		return snap.With(svc), svc, nil
	case ServiceDelete:
		if last < 0 {
			return snap, nil, fmt.Errorf("%s: no service to delete", kind)
		}
		return snap.Without(last), snap.Services[last], nil
	case EndpointAdd:
		svc := *snap.Services[last/2]
		svc.Endpoints = append(slices.Clone(svc.Endpoints), modes.Endpoint{Addr: s.SpareEndpoint(0)})
		return snap.With(&svc), &svc, nil
	case EndpointDelete:
		svc := *snap.Services[last/2]
		if len(svc.Endpoints) == 0 {
			return snap, nil, fmt.Errorf("%s: service %s has no endpoint", kind, svc.Key())
		}
		svc.Endpoints = slices.Clone(svc.Endpoints[:len(svc.Endpoints)-1])
		return snap.With(&svc), &svc, nil
	}
	return snap, nil, fmt.Errorf("unknown change %q: valid are %v", kind, ChangeKinds())
}
