package cluster

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/snapshot/synth"
)

const oneService = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.1.0.1]}]
`

// TestCopy: what is read is copied below one name of its own, by which it is found and read
// again, whichever path leads to it.
func TestCopy(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "objects")
	err := errors.Join(os.MkdirAll(filepath.Join(folder, "below"), 0o755),
		os.WriteFile(filepath.Join(folder, "a.yaml"), []byte(oneService), 0o600),
		os.WriteFile(filepath.Join(folder, "b.yaml"), []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ at, path, name string }{
		{folder, ".", "objects"}, {folder, "./", "objects"}, {filepath.Join(folder, "below"), "..", "objects"},
		{folder, "below/..", "objects"}, {folder, folder, "objects"}, {folder, "a.yaml", "a.yaml"},
	} {
		t.Chdir(c.at)
		run := t.TempDir()
		into := filepath.Join(run, "input")
		first, err := Read(Source{Path: c.path, Copy: into})
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		if entries, err := os.ReadDir(run); err != nil || len(entries) != 1 {
			t.Errorf("%s: the run directory holds %v, %v", c.path, entries, err)
		}
		copied := Copied(into)
		if copied != filepath.Join(into, c.name) {
			t.Fatalf("%s: the copy is %q", c.path, copied)
		}
		t.Chdir("/")
		again, err := Read(Source{Path: copied})
		if err != nil || again.Digest != first.Digest || again.Name != first.Name {
			t.Errorf("%s: read again as %s %s, %v; first %s %s", c.path, again.Name, again.Digest, err, first.Name, first.Digest)
		}
	}
}

// TestKeep: what a mode cannot serve with its arguments is left out, with the reason.
func TestKeep(t *testing.T) {
	plain := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}.Service(0)
	outer, samePort := *plain, *synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1, SamePort: true}.Service(0)
	outer.Ports = []modes.ServicePort{{Name: "p", Protocol: modes.TCP, Port: 80, TargetPort: 8080, NodePort: 30080}}
	ranged := *plain
	ranged.LoadBalancerIPs, ranged.SourceRanges = []netip.Addr{netip.MustParseAddr("192.0.2.1")}, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for _, c := range []struct {
		mode string
		args modes.Args
		svc  *modes.Service
		why  string
	}{
		{"ipvs", nil, &outer, ""},
		{"ipvs", modes.Args{"lookup": "rules"}, plain, ""},
		{"ipvs", modes.Args{"lookup": "rules"}, &outer, "without ipsets only cluster IPs are served"},
		{"ipvs", modes.Args{"forward": "dr"}, &samePort, ""},
		{"ipvs", modes.Args{"forward": "dr"}, plain, "forwarding method dr leaves packets as they are"},
		{"ipvs", modes.Args{"forward": "tunnel"}, plain, "forwarding method tunnel leaves packets as they are"},
		{"ebpf", nil, &ranged, ""},
		{"ebpf", modes.Args{"attach": "socket"}, &ranged, "when a socket dials, it has no source address yet"},
	} {
		mode, err := catalog.All().Find(c.mode)
		if err != nil {
			t.Fatal(err)
		}
		cl := Cluster{Snapshot: modes.Snapshot{Services: []*modes.Service{c.svc}}}
		cl.Keep(Asked{Mode: mode, Args: c.args})
		switch {
		case c.why == "" && (len(cl.LeftOut) > 0 || len(cl.Snapshot.Services) != 1):
			t.Errorf("%s %s: left out %v", c.mode, c.args, cl.LeftOut)
		case c.why != "" && (len(cl.LeftOut) != 1 || !strings.Contains(cl.LeftOut[0].Reason, c.why)):
			t.Errorf("%s %s: left out %v, want %q", c.mode, c.args, cl.LeftOut, c.why)
		}
	}
}
