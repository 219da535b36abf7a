package kube

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"viplab/modes"
)

// Cluster is what a proxy on one node makes of some Objects.
type Cluster struct {
	// Snapshot is in normal form. Its cluster ranges and node addresses are open: objects
	// of Services do not tell them.
	Snapshot modes.Snapshot
	// Node is the node whose view it is.
	Node string
	// LeftOut are the objects that are not used, and parts of them, in the files' order.
	LeftOut []LeftOut
}

// Cluster sees the objects from a node: which endpoints are local and for whom topology
// hints are. Without a name it is the node that runs the most endpoints, the first by
// name of several.
func (o *Objects) Cluster(node string) (Cluster, error) {
	v := &view{Objects: o, node: node, left: slices.Clone(o.left)}
	nodes, zones := o.nodes()
	if node == "" {
		v.node = busiest(nodes)
	} else if nodes[node] == 0 && len(nodes) > 0 {
		return Cluster{}, fmt.Errorf("node %q runs no endpoint: those that do are %v", node, firstNames(nodes))
	}
	v.zone = zones[v.node]
	if err := v.index(); err != nil {
		return Cluster{}, err
	}
	out := Cluster{Node: v.node}
	at := make(map[string]position, len(o.services))
	for _, f := range o.services {
		services, err := v.service(f)
		if err != nil {
			return Cluster{}, err
		}
		for _, svc := range services {
			at[svc.Key()] = f.position
		}
		out.Snapshot.Services = append(out.Snapshot.Services, services...)
	}
	v.orphans()
	out.LeftOut = v.left
	slices.SortFunc(out.Snapshot.Services, (*modes.Service).Compare)
	var err error
	out.Snapshot, err = out.Snapshot.Normal()
	var of *modes.ServiceError
	if errors.As(err, &of) {
		return out, fmt.Errorf("%s: %w", at[of.Service.Key()], err)
	}
	return out, err
}

// nodes counts the endpoints of each node, and gives the zones of nodes.
func (o *Objects) nodes() (count map[string]int, zone map[string]string) {
	count, zone = map[string]int{}, map[string]string{}
	for _, f := range o.slices {
		for _, ep := range f.object.Endpoints {
			if ep.NodeName != nil {
				count[*ep.NodeName]++
				if ep.Zone != nil {
					zone[*ep.NodeName] = *ep.Zone
				}
			}
		}
	}
	for _, f := range o.endpoints {
		for _, s := range f.object.Subsets {
			for _, a := range slices.Concat(s.Addresses, s.NotReadyAddresses) {
				if a.NodeName != nil {
					count[*a.NodeName]++
				}
			}
		}
	}
	return count, zone
}

func busiest(nodes map[string]int) string {
	best := ""
	for _, n := range slices.Sorted(maps.Keys(nodes)) {
		if best == "" || nodes[n] > nodes[best] {
			best = n
		}
	}
	return best
}

// maxNames is how many names an error lists.
const maxNames = 8

func firstNames(nodes map[string]int) []string {
	names := slices.Sorted(maps.Keys(nodes))
	return names[:min(len(names), maxNames)]
}

// view is the work of [Objects.Cluster].
type view struct {
	*Objects
	node, zone string
	left       []LeftOut
	parts      map[string][]part // by serviceKey
	unused     map[string]bool   // objects with endpoints whose Service has not come yet
}

// part is some endpoints of a Service that share their ports, as in a slice.
type part struct {
	position
	object    string
	family    modes.Family
	ports     []discoveryv1.EndpointPort
	endpoints []modes.Endpoint
}

func (v *view) leave(object, format string, args ...any) {
	v.left = append(v.left, LeftOut{object, fmt.Sprintf(format, args...)})
}

// index sorts the endpoints by Service. Where there are slices of a Service its Endpoints
// are the same once more.
func (v *view) index() error {
	v.parts, v.unused = make(map[string][]part, len(v.slices)), map[string]bool{}
	for _, f := range v.slices {
		name := key("EndpointSlice", f.object.Namespace, f.object.Name)
		owner := f.object.Labels[discoveryv1.LabelServiceName]
		switch {
		case owner == "":
			v.leave(name, "it has no label %s", discoveryv1.LabelServiceName)
			continue
		case f.object.AddressType != discoveryv1.AddressTypeIPv4 && f.object.AddressType != discoveryv1.AddressTypeIPv6:
			v.leave(name, "its addresses are of type %q", f.object.AddressType)
			continue
		}
		p, err := v.slice(f, name)
		if err != nil {
			return err
		}
		k := serviceKey(f.object.Namespace, owner)
		v.parts[k] = append(v.parts[k], p)
		v.unused[k] = true
	}
	for _, f := range v.endpoints {
		k := serviceKey(f.object.Namespace, f.object.Name)
		if len(v.parts[k]) > 0 && v.parts[k][0].object != key("Endpoints", f.object.Namespace, f.object.Name) {
			continue
		}
		parts, err := v.subsets(f)
		if err != nil {
			return err
		}
		v.parts[k] = append(v.parts[k], parts...)
		v.unused[k] = true
	}
	return nil
}

// orphans leaves out the endpoints whose Services are not there.
func (v *view) orphans() {
	for _, k := range slices.Sorted(maps.Keys(v.unused)) {
		for _, p := range v.parts[k] {
			v.leave(p.object, "there is no %s", k)
		}
	}
}

// typeOf is a Service's type, ClusterIP if it does not say.
func typeOf(svc *corev1.Service) corev1.ServiceType {
	return cmp.Or(svc.Spec.Type, corev1.ServiceTypeClusterIP)
}
