package ebpf

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	bpf "github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// TestNoRights: without rights the answer is the same whatever was tried first, and tells of
// nothing but them.
func TestNoRights(t *testing.T) {
	seen := fmt.Errorf("map sources: map create: %w (MEMLOCK may be too low, consider rlimit.RemoveMemlock)", unix.EPERM)
	err := explain("load BPF programs", seen)
	if text := err.Error(); !modes.IsMissing(err) || strings.Contains(text, "MEMLOCK") || strings.Contains(text, "sources") ||
		!strings.Contains(text, "(operation not permitted); to mend: run as root") {
		t.Error(text)
	}
}

// TestObjects compiles the programs anew, as go generate does, and holds the committed ones
// against them: every instruction, and every map.
func TestObjects(t *testing.T) {
	source, err := os.ReadFile("objects.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^//go:generate .* -cc (\S+) .*(lb[46]) bpf/lb\.c -- (.*)$`).FindAllStringSubmatch(string(source), -1)
	if len(lines) != 2 {
		t.Fatalf("%d lines make objects", len(lines))
	}
	for i, f := range []modes.Family{modes.IPv4, modes.IPv6} {
		compiler, flags := lines[i][1], strings.Fields(lines[i][3])
		if _, err := exec.LookPath(compiler); err != nil {
			t.Skipf("SKIPPED: compiling the BPF programs anew: no %s (apt-get install %s)", compiler, compiler)
		}
		object := filepath.Join(t.TempDir(), "lb.o")
		args := append([]string{"-target", "bpfel", "-g", "-c", "bpf/lb.c", "-o", object}, flags...)
		if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		fresh, err := bpf.LoadCollectionSpec(object)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := spec(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := described(committed), described(fresh); got != want {
			t.Errorf("%s: the committed object is not what bpf/ gives: run go generate ./modes/ebpf", f)
		}
	}
}

// described is what the kernel is given of an object.
func described(s *bpf.CollectionSpec) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Programs)) {
		p := s.Programs[name]
		fmt.Fprintf(&out, "program %s %s %s\n", name, p.Type, p.License)
		for _, ins := range p.Instructions {
			fmt.Fprintf(&out, "%v\n", ins)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Maps)) {
		m := s.Maps[name]
		fmt.Fprintf(&out, "map %s %s %d %d %d\n", name, m.Type, m.KeySize, m.ValueSize, m.Flags)
	}
	return out.String()
}
