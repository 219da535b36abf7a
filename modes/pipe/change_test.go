package pipe

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"viplab/modes"
)

// told is what requests say, in short: "set EndpointSlice b-0".
func told(t *testing.T, c modes.Change) (out []string) {
	t.Helper()
	list, err := requests(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		var o struct {
			Kind     string
			Metadata struct{ Namespace, Name string }
		}
		if err := json.Unmarshal(r.Object, &o); err != nil {
			t.Fatal(err)
		}
		if o.Metadata.Namespace != "a" {
			t.Errorf("%s is in namespace %q", r.Object, o.Metadata.Namespace)
		}
		out = append(out, fmt.Sprintf("%s %s %s", r.Do, o.Kind, o.Metadata.Name))
	}
	return out
}

// TestRequests: what is told is what changed, and nothing else.
func TestRequests(t *testing.T) {
	svc := modes.Service{Namespace: "a", Name: "b", ClusterIP: netip.MustParseAddr("10.96.0.1"),
		Ports: []modes.ServicePort{{Name: "p", Protocol: modes.TCP, Port: 80, TargetPort: 8080}, {Name: "q", Protocol: modes.UDP, Port: 81, TargetPort: 8081}}}
	addr := netip.MustParseAddr("10.128.0.1")
	for range 101 {
		svc.Endpoints = append(svc.Endpoints, modes.Endpoint{Addr: addr})
		addr = addr.Next()
	}
	fewer, other, sticky := svc, svc, svc
	fewer.Endpoints = svc.Endpoints[:100]
	other.Endpoints = slices.Clone(svc.Endpoints)
	other.Endpoints[100].Port = 9000
	sticky.Affinity = 1
	for _, c := range []struct {
		change modes.Change
		want   []string
	}{
		{modes.Change{New: &svc}, []string{"set Service b", "set EndpointSlice b-0", "set EndpointSlice b-1"}},
		{modes.Change{Old: &svc, New: &svc}, nil},
		{modes.Change{Old: &svc, New: &fewer}, []string{"delete EndpointSlice b-1"}},
		{modes.Change{Old: &fewer, New: &svc}, []string{"set EndpointSlice b-1"}},
		{modes.Change{Old: &svc, New: &other}, []string{"set EndpointSlice b-1"}},
		{modes.Change{Old: &svc, New: &sticky}, []string{"set Service b"}},
		{modes.Change{Old: &fewer}, []string{"delete EndpointSlice b-0", "delete Service b"}},
	} {
		got := told(t, c.change)
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("told %v, want %v", got, c.want)
		}
	}
}

// TestEndpoint: conditions, hints and the node are told as Kubernetes has them.
func TestEndpoint(t *testing.T) {
	ep := endpoint(modes.Endpoint{Addr: netip.MustParseAddr("10.128.0.1"), Local: true, Condition: modes.Terminating, NodeHint: modes.Here, ZoneHint: modes.Elsewhere})
	if *ep.NodeName != nodeName || *ep.Conditions.Ready || !*ep.Conditions.Serving || !*ep.Conditions.Terminating {
		t.Errorf("%+v", ep)
	}
	if ep.Hints.ForNodes[0].Name != nodeName || ep.Hints.ForZones[0].Name != otherZoneName {
		t.Errorf("hints %+v", ep.Hints)
	}
}
