package synth

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"viplab/modes"
)

func TestSnapshot(t *testing.T) {
	s := Spec{Services: 3000, Endpoints: 3, Ports: 2, Seed: 5}
	snap := s.Snapshot()
	if _, err := snap.Normal(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(snap, s.Snapshot()) {
		t.Error("the same spec gave another snapshot")
	}
	other := s
	other.Seed = 6
	if snap.Services[0].ClusterIP == other.VIP(0) {
		t.Error("another seed gave the same address")
	}
	small := s
	small.Services = 10
	if small.Snapshot().Services[3].ClusterIP != snap.Services[3].ClusterIP {
		t.Error("the first services of a larger snapshot are not those of a smaller one")
	}
	seen := map[netip.Addr]bool{}
	udp := 0
	for i, svc := range snap.Services {
		if !VIPRange.Contains(svc.ClusterIP) {
			t.Fatalf("%s is outside %s", svc.ClusterIP, VIPRange)
		}
		for _, ep := range svc.Endpoints {
			if seen[ep.Addr] || !EndpointRange.Contains(ep.Addr) {
				t.Fatalf("endpoint %s is doubled or outside", ep.Addr)
			}
			seen[ep.Addr] = true
		}
		if s.HasUDP(i) {
			udp++
		}
	}
	if udp != len(s.UDPPositions()) || udp != udpServices {
		t.Errorf("%d services have UDP, %d positions are listed", udp, len(s.UDPPositions()))
	}
	if seen[s.SpareEndpoint(0)] {
		t.Error("the spare endpoint is in use")
	}
}

// TestPermute walks the whole range: every VIP must come up exactly once.
func TestPermute(t *testing.T) {
	seen := make([]bool, 1<<20)
	s := Spec{Seed: 42}
	for v := range uint32(1 << 20) {
		w := s.permute(v)
		if seen[w] {
			t.Fatalf("%d comes up twice", w)
		}
		seen[w] = true
	}
}

func TestLimits(t *testing.T) {
	for want, s := range map[string]Spec{
		"services must be":  {Services: 0, Endpoints: 1, Ports: 1},
		"services must be ": {Services: MaxServices + 1, Endpoints: 1, Ports: 1},
		"endpoints must be": {Services: 1, Endpoints: 251, Ports: 1},
		"do not fit":        {Services: 900_000, Endpoints: 100, Ports: 1},
		"ports must be":     {Services: 1, Endpoints: 1, Ports: 0},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: got %v", s, err)
		}
	}
}

func TestChangesUndoEachOther(t *testing.T) {
	s := Spec{Services: 10, Endpoints: 2, Ports: 1, Seed: 1}
	before := s.Snapshot()
	snap := before
	for _, kind := range modes.ChangeKinds() {
		next, svc, err := s.Apply(snap, kind)
		if err != nil || svc == nil {
			t.Fatal(kind, err)
		}
		if reflect.DeepEqual(next.Services, snap.Services) {
			t.Errorf("%s changed nothing", kind)
		}
		snap = next
	}
	if !reflect.DeepEqual(snap.Services, before.Services) {
		t.Error("the four changes do not add up to nothing")
	}
	if _, _, err := s.Apply(snap, "rename"); err == nil {
		t.Error("an unknown change was accepted")
	}
}

// TestSameChangeAtEverySize: the Service whose endpoints come and go has the same ports
// whatever the size.
func TestSameChangeAtEverySize(t *testing.T) {
	for _, n := range []int{1, 2, 10, 16, 17, 100, 1000, 20000} {
		s := Spec{Services: n, Endpoints: 2, Ports: 1, Seed: 1}
		for _, kind := range []string{modes.EndpointAdd, modes.EndpointDelete} {
			_, svc, err := s.Apply(s.Snapshot(), kind)
			if err != nil {
				t.Fatal(err)
			}
			if len(svc.Ports) != 2 || svc.Ports[1].Protocol != modes.UDP {
				t.Errorf("%s at %d services changes one with the ports %v", kind, n, svc.Ports)
			}
		}
	}
}

// TestChurnOfFamilies: each step of a series is in normal form, which has no families mixed,
// and changes one Service in each.
func TestChurnOfFamilies(t *testing.T) {
	for _, f := range []modes.Family{modes.IPv4, modes.IPv6, modes.Dual} {
		s := Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 1, Family: f}
		snap, churn := s.Snapshot(), NewChurn(s, 1)
		for i := range 60 {
			next := churn.Next(snap)
			if _, err := next.Normal(); err != nil {
				t.Fatalf("%s, step %d: %v", f, i, err)
			}
			if got := modes.Diff(snap, next); len(got) != s.Width() {
				t.Fatalf("%s, step %d changes %d services", f, i, len(got))
			}
			snap = next
		}
	}
}
