package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
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
