package modetest

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	bpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/ebpf"
	"viplab/modes/snapshot/synth"
)

// refresh writes everything again.
func (b *Rig) refresh() error {
	return b.Net.Node.Do(func() error {
		_, err := b.Proxier.(modes.Refresher).Refresh(b.t.Context())
		return err
	})
}

// occupy attaches programs where packets leave by some links of the node until the kernel
// takes no more there, and gives what takes them away again.
func (b *Rig) occupy(names ...string) (free func()) {
	b.t.Helper()
	var taken []link.Link
	free = func() {
		for _, l := range taken {
			if err := l.Close(); err != nil {
				b.t.Error(err)
			}
		}
		taken = nil
	}
	b.t.Cleanup(func() { free() })
	err := b.Net.Node.Do(func() error {
		for _, name := range names {
			at, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			l, err := another(at)
			for err == nil {
				taken = append(taken, l)
				l, err = another(at)
			}
			if !errors.Is(err, unix.ERANGE) {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, bpf.ErrNotSupported) {
		b.t.Skipf("SKIPPED: filling the places of TCX: %v", err)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return free
}

// another attaches a program that does nothing to what leaves by a link. The kernel takes
// each but once.
func another(at netlink.Link) (link.Link, error) {
	idle, err := bpf.NewProgram(&bpf.ProgramSpec{
		Type: bpf.SchedCLS, License: "MIT", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return nil, err
	}
	defer idle.Close()
	return link.AttachTCX(link.TCXOptions{Interface: at.Attrs().Index, Program: idle, Attach: bpf.AttachTCXEgress})
}

// TestBPFAttachAgain: as long as the programs cannot be attached everywhere, Sync and
// Refresh say so; the next Sync after that mends it, whether some were attached or none.
func TestBPFAttachAgain(t *testing.T) {
	for name, full := range map[string][]string{"some": {"to-client"}, "none": {"to-client", "to-backend"}, "served before": {"late"}} {
		t.Run(name, func(t *testing.T) {
			b := NewRig(t, ebpf.Mode(), nil, synth.Spec{Services: 6, Endpoints: 2, Ports: 1, Seed: 1})
			attempts := []func() error{
				func() error { _, err := b.Sync(t.Context(), b.Snapshot); return err },
				func() error { _, err := b.Sync(t.Context(), b.Snapshot.Without(1)); return err },
				b.refresh,
			}
			if slices.Contains(full, "late") {
				b.Program(b.Snapshot)
				b.command("ip link add late type veth peer name later")
				attempts[0] = b.refresh // which is when a new link is noticed
			}
			free := b.occupy(full...)
			for i, attempt := range attempts {
				if attempt() == nil {
					t.Errorf("attempt %d to attach where there is no place reports no error", i)
				}
			}
			free()
			next := b.Snapshot.Without(3)
			b.Program(next)
			b.mended(next)
		})
	}
}

// TestBPFLinksChange: after a full sync the programs know links that are new, and a link's
// new address, which is what masqueraded flows by it get.
func TestBPFLinksChange(t *testing.T) {
	b := NewRig(t, ebpf.Mode(), modes.Args{ebpf.AttachParam: "tc"}, synth.Spec{Services: 2, Endpoints: 1, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	for _, change := range []struct{ command, addr string }{
		{"ip link add late up type veth peer name later", "10.77.0.1"}, {"ip addr flush dev late", "10.77.0.2"},
	} {
		b.command(change.command)
		b.command("ip addr add " + change.addr + "/24 dev late")
		if err := b.refresh(); err != nil {
			t.Fatal(err)
		}
		if got := b.addressAt("late"); got != netip.MustParseAddr(change.addr) {
			t.Errorf("a link has the address %s, and the programs know %s", change.addr, got)
		}
	}
	if err := b.Validate(true); err != nil {
		t.Error(err)
	}
}

// addressAt is the address that the programs know for a link of the node, invalid for none.
func (b *Rig) addressAt(name string) (addr netip.Addr) {
	b.t.Helper()
	links := newest(b.t, "links")
	defer links.Close()
	err := b.Net.Node.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		var known [4]byte
		switch err := links.Lookup(uint32(l.Attrs().Index), &known); {
		case errors.Is(err, bpf.ErrKeyNotExist):
			return nil
		case err != nil:
			return err
		}
		addr = netip.AddrFrom4(known)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return addr
}
