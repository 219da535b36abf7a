package modetest

import (
	"errors"
	"net/netip"
	"testing"

	bpf "github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

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
