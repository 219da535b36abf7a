package given_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"viplab/modes"
	"viplab/modes/snapshot/given"
	"viplab/modes/snapshot/kube"
	"viplab/modes/snapshot/kube/kubetest"
	"viplab/modes/snapshot/synth"
)

// set is a cluster of some Services, moved into the lab's ranges.
func set(t *testing.T) *given.Set {
	t.Helper()
	var b bytes.Buffer
	if err := (kubetest.Spec{Services: 300, Seed: 3}).Write(&b, kubetest.YAML); err != nil {
		t.Fatal(err)
	}
	var o kube.Objects
	if err := o.Decode("t", &b); err != nil {
		t.Fatal(err)
	}
	c, err := o.Cluster("")
	if err != nil {
		t.Fatal(err)
	}
	snap, _, err := kube.Into(c.Snapshot, kube.Network{VIPs: synth.VIPRange, Endpoints: synth.EndpointRange},
		kube.Network{VIPs: synth.VIPRange6, Endpoints: synth.EndpointRange6})
	if err != nil {
		t.Fatal(err)
	}
	s, err := given.New(snap, given.Ranges{VIPs: synth.VIPRange, Endpoints: synth.EndpointRange})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestChanges: every change gives a Snapshot in normal form, changes one Service, and the
// four of them end where they began.
func TestChanges(t *testing.T) {
	s := set(t)
	snap := s.Snapshot
	for _, kind := range modes.ChangeKinds() {
		next, svc, err := s.Apply(snap, kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.Normal(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got := modes.Diff(snap, next); len(got) != 1 {
			t.Errorf("%s changes %d services", kind, len(got))
		}
		if _, _, ok := given.Answers(svc, modes.TCP); !ok {
			t.Errorf("%s: service %s answers nobody", kind, svc.Key())
		}
		snap = next
	}
	if !reflect.DeepEqual(s.Snapshot.Services, snap.Services) {
		t.Errorf("services differ after all changes: %v", modes.Diff(s.Snapshot, snap))
	}
	if _, _, err := s.Apply(snap, modes.ServiceDelete); err == nil {
		t.Error("a service of the user's was deleted")
	}
}

// TestChurn: the same series for the same seed, each step in normal form.
func TestChurn(t *testing.T) {
	s := set(t)
	one, two := s.Churn(1, 2), s.Churn(1, 2)
	a, b := s.Snapshot, s.Snapshot
	for i := range 200 {
		a, b = one.Next(a), two.Next(b)
		if !reflect.DeepEqual(a.Services, b.Services) {
			t.Fatalf("step %d differs", i)
		}
		if _, err := a.Normal(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

// TestDialled: what is dialled has a port and endpoints, and what is spare nobody has.
func TestDialled(t *testing.T) {
	s := set(t)
	for _, proto := range []modes.Protocol{modes.TCP, modes.UDP} {
		if len(s.Dialled(proto)) == 0 {
			t.Errorf("nothing answers over %s", proto)
		}
		for _, i := range s.Dialled(proto) {
			p, list, ok := given.Answers(s.Snapshot.Services[i], proto)
			if !ok || p.Protocol != proto || slices.ContainsFunc(list, func(ep modes.Endpoint) bool { return ep.Condition == modes.Unready }) {
				t.Errorf("service %s: %v, %v", s.Snapshot.Services[i].Key(), p, list)
			}
		}
	}
	for _, a := range []netip.Addr{s.Spare(), s.Added(0).ClusterIP, s.SpareEndpoint(0), s.SpareEndpoint(1)} {
		if slices.ContainsFunc(s.Snapshot.Services, func(svc *modes.Service) bool { return svc.ClusterIP == a || svc.Index(a) >= 0 }) {
			t.Errorf("%s is not spare", a)
		}
	}
}

// TestNothingAnswers: said, not measured.
func TestNothingAnswers(t *testing.T) {
	_, err := given.New(modes.Snapshot{}, given.Ranges{VIPs: synth.VIPRange, Endpoints: synth.EndpointRange})
	if err == nil {
		t.Error("a snapshot of nothing can be measured")
	}
}
