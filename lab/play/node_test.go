package play

import (
	"net/netip"
	"testing"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// TestExpose: the node port is none that another Service has, nor a health check port of one,
// nor a port of what may be the node's own address; a second time it stays the same.
func TestExpose(t *testing.T) {
	snap := synth.Spec{Services: 4, Endpoints: 1, Ports: 1, Seed: 1}.Snapshot()
	for i, claim := range []func(*modes.Service){
		func(svc *modes.Service) { svc.Ports[0].NodePort = usualNodePort },
		func(svc *modes.Service) { svc.HealthPort = usualNodePort + 1 },
		func(svc *modes.Service) {
			svc.Ports[0].Port = usualNodePort + 2
			svc.ExternalIPs = []netip.Addr{netip.MustParseAddr("10.64.0.1")}
		},
	} {
		claim(snap.Services[i])
	}
	p := player{Stage: &trial.Stage{About: modes.Mode{Baseline: true}}, snap: snap, svc: snap.Services[3]}
	for range 2 {
		if err := p.expose(); err != nil {
			t.Fatal(err)
		}
		if got := p.svc.Ports[0].NodePort; got != usualNodePort+3 || p.nodePort != got {
			t.Errorf("the Service has node port %d, and clients dial %d", got, p.nodePort)
		}
		if _, err := p.snap.Normal(); err != nil {
			t.Error(err)
		}
	}
}

// TestNoNodePortFree: the last one that is free is found, and where none is that is said.
func TestNoNodePortFree(t *testing.T) {
	var all []modes.ServicePort
	for i := range nodePorts {
		all = append(all, modes.ServicePort{Protocol: modes.UDP, NodePort: uint16(firstNodePort + i)})
	}
	other, svc := &modes.Service{Name: "other", Ports: all[1:]}, &modes.Service{Name: "this"}
	s := modes.Snapshot{Services: []*modes.Service{other, svc}}
	if got, err := freeNodePort(s, svc); got != firstNodePort || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	other.Ports = all
	if got, err := freeNodePort(s, svc); err == nil {
		t.Errorf("got %d, though none is free", got)
	}
}
