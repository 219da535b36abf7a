package kubeproxy

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/iptables"
)

// TestNotBuilt: a peer that was not built is missing, and says what mends it.
func TestNotBuilt(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if built := Built(); len(built) > 0 {
		t.Errorf("built: %v", built)
	}
	for _, m := range Modes() {
		err := m.Make(nil, modes.Machine{Family: modes.IPv4}).Probe(t.Context())
		var missing *modes.MissingError
		if !errors.As(err, &missing) || missing.Mend != "make peers" {
			t.Errorf("mode %s: %v", m.Name, err)
		}
	}
}

// TestNeedsOfBackend: what is asked of the kernel is asked by the tool that kube-proxy will
// use there, since a kernel may have one backend and not the other.
func TestNeedsOfBackend(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, backend := range iptables.Backends() {
		err := peers()[0].needs(modes.IPv4, backend)(t.Context())
		var missing *modes.MissingError
		if !errors.As(err, &missing) || !strings.Contains(missing.Need, "iptables-"+backend) {
			t.Errorf("backend %s: %v", backend, err)
		}
	}
}

// TestSummary: only a peer of which no release was built is said to need that.
func TestSummary(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	said := func() bool {
		return slices.ContainsFunc(Modes(), func(m modes.Mode) bool { return strings.Contains(m.Summary, "make peers") })
	}
	if !said() {
		t.Error("a peer that was not built is not said to need make peers")
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, release := range Releases() {
		file := filepath.Join(dir, "kube-proxy-"+release)
		if err := os.WriteFile(file, nil, 0o777); err != nil {
			t.Fatal(err)
		}
		if said() {
			t.Errorf("with %s there, a peer is said to need make peers", release)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReleases: each release has a module that builds it, and each module is a release.
func TestReleases(t *testing.T) {
	files, err := filepath.Glob("v*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`k8s.io/kubernetes v([0-9.]+)`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s names no k8s.io/kubernetes", f)
		}
		if minor := filepath.Base(filepath.Dir(f))[1:]; !strings.HasPrefix(string(m[1]), minor+".") {
			t.Errorf("%s is of Kubernetes %s", f, m[1])
		}
		got = append(got, string(m[1]))
	}
	want := slices.Sorted(slices.Values(Releases()))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("modules build %v, the modes name %v", got, want)
	}
}
