package modetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/modes"
	"viplab/modes/ebpf"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// newest is the map of a name that was made last, of those that this process has open. It
// must be closed.
func newest(t *testing.T, name string) *bpf.Map {
	t.Helper()
	var found *bpf.Map
	for _, id := range openMaps() {
		m, err := bpf.NewMapFromID(id)
		if err != nil {
			continue // it has just gone
		}
		if info, err := m.Info(); err != nil || info.Name != name {
			_ = m.Close()
			continue
		}
		if found != nil {
			_ = found.Close()
		}
		found = m
	}
	if found == nil {
		t.Fatalf("there is no map %s", name)
	}
	return found
}

// openMaps are the maps that this process has open, in the order in which they were made.
func openMaps() (ids []bpf.MapID) {
	files, _ := filepath.Glob("/proc/self/fdinfo/*")
	for _, file := range files {
		text, _ := os.ReadFile(file) // nothing for what has just been closed
		var id bpf.MapID
		if _, after, ok := strings.Cut(string(text), "\nmap_id:"); ok {
			if _, err := fmt.Sscan(after, &id); err == nil {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// TestBPFRecovery: after a Sync that failed, since a map took nothing any more, the next
// one mends everything.
func TestBPFRecovery(t *testing.T) {
	b := NewRig(t, ebpf.Mode(), nil, synth.Spec{Services: 6, Endpoints: 2, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	good := b.Snapshot
	for _, name := range []string{"services", "backends"} {
		m := newest(t, name)
		if err := errors.Join(m.Freeze(), m.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Sync(t.Context(), good.Without(2)); !errors.Is(err, unix.EPERM) {
			t.Errorf("a change of a map that is frozen: %v", err)
		}
		next := good.Without(3)
		b.Program(next)
		b.mended(next)
		b.Program(good)
	}
}

// TestBPFOthersHands: what somebody else has changed a full sync puts right.
func TestBPFOthersHands(t *testing.T) {
	b := NewRig(t, ebpf.Mode(), nil, synth.Spec{Services: 6, Endpoints: 2, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	before := sortedLines(b.State())
	services := newest(t, "services")
	key, err := services.NextKeyBytes(nil)
	if err != nil {
		t.Fatal(err)
	}
	value, err := services.LookupBytes(key)
	if err == nil {
		err = services.Delete(key)
	}
	if err == nil {
		key[0]++
		err = services.Put(key, value)
	}
	if err = errors.Join(err, services.Close()); err != nil {
		t.Fatal(err)
	}
	if n := b.detach() + b.unfilter(); n == 0 {
		t.Error("nothing was attached")
	}
	if sortedLines(b.State()) == before {
		t.Error("nothing was spoiled")
	}
	if err := b.Net.Node.Do(func() error {
		_, err := b.Proxier.(modes.Refresher).Refresh(t.Context())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if after := sortedLines(b.State()); after != before {
		t.Errorf("the kernel held\n%s\nand after a full sync\n%s", before, after)
	}
	if err := b.Validate(true); err != nil {
		t.Error(err)
	}
}

// detach takes the programs of this process off all links, and counts them.
func (b *Rig) detach() (n int) {
	own := openPrograms(b.t)
	var all link.Iterator
	defer all.Close()
	for all.Next() {
		info, err := all.Link.Info()
		if err != nil || info.Type != link.TCXType || !own[info.Program] {
			continue
		}
		if err := all.Link.Detach(); err != nil {
			b.t.Fatal(err)
		}
		n++
	}
	if err := all.Err(); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// unfilter removes the queueing disciplines of the node's links that hold filters, with
// those, and counts them.
func (b *Rig) unfilter() (n int) {
	err := b.Net.Node.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			qdiscs, err := netlink.QdiscList(l)
			if err != nil {
				return err
			}
			for _, q := range qdiscs {
				if q.Type() != "clsact" {
					continue
				}
				if err := netlink.QdiscDel(q); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// openPrograms are those that have the names of the mode's, and use its newest maps.
func openPrograms(t *testing.T) map[bpf.ProgramID]bool {
	t.Helper()
	m := newest(t, "services")
	info, err := m.Info()
	if err = errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	want, _ := info.ID()
	out := map[bpf.ProgramID]bool{}
	for id := bpf.ProgramID(0); ; {
		next, err := bpf.ProgramGetNextID(id)
		if err != nil {
			return out
		}
		id = next
		p, err := bpf.NewProgramFromID(id)
		if err != nil {
			continue
		}
		if info, err := p.Info(); err == nil {
			ids, _ := info.MapIDs()
			for _, m := range ids {
				out[id] = out[id] || m == want
			}
		}
		_ = p.Close()
	}
}

// TestBPFArguments serves from the node and, where the arguments do so, from elsewhere,
// with each argument of mode ebpf.
func TestBPFArguments(t *testing.T) {
	families := []modes.Family{modes.IPv4}
	if inside.Testbed() != testbed.UMLName { // where it would take a minute
		families = append(families, modes.Dual)
	}
	for _, args := range []modes.Args{
		{ebpf.AttachParam: "tc"}, {ebpf.AttachParam: "socket"}, {ebpf.SelectParam: "maglev"},
		{ebpf.SelectParam: "maglev", ebpf.TableParam: "1021"}, {ebpf.AttachParam: "socket", ebpf.SelectParam: "maglev"},
	} {
		for _, family := range families {
			t.Run(fmt.Sprintf("%s %s", args, family), func(t *testing.T) {
				b := NewRig(t, ebpf.Mode(), args, synth.Spec{Services: 5, Endpoints: 3, Ports: 2, Seed: 1, Family: family})
				b.Program(b.Snapshot)
				if err := b.Validate(true); err != nil {
					t.Error(err)
				}
				next := b.Snapshot.Without(2)
				b.Program(next)
				if got, want := sortedLines(b.State()), b.anew(next); got != want {
					t.Errorf("the kernel held\n%s\na fresh sync gives\n%s", got, want)
				}
			})
		}
	}
}

// TestNoBPF: a kernel that has none is told from one that refuses.
func TestNoBPF(t *testing.T) {
	if inside.Testbed() != testbed.UMLName {
		return
	}
	if err := ebpf.Mode().Make(nil, modes.Machine{Family: modes.IPv4}).Probe(t.Context()); err != nil && !modes.IsMissing(err) {
		t.Errorf("%v is no missing need", err)
	}
}

// TestProbedMapsAreFreed: maps of a probe are no memory of the mode's that is measured next.
func TestProbedMapsAreFreed(t *testing.T) {
	b := NewRig(t, ebpf.Mode(), nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
	settled := func() int64 {
		m, err := workload.SettledKernelMemory()
		if err != nil {
			t.Fatal(err)
		}
		return m["vmalloc"]
	}
	before := settled()
	if err := b.Net.Node.Do(func() error { return b.Proxier.Probe(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	if kept := settled() - before; kept > 5<<20 {
		t.Errorf("%d bytes of a probe are there still", kept)
	}
	b.Program(b.Snapshot)
	if taken := settled() - before; taken < 10<<20 {
		t.Errorf("the maps take %d bytes, of which most are the %d connections that are remembered", taken, 65536)
	}
}
