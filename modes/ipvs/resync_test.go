package ipvs

import (
	"net/netip"
	"testing"

	"viplab/modes"
)

// TestReadBackFails: what the mode has bound is still known when the kernel could not be
// asked what it holds.
func TestReadBackFails(t *testing.T) {
	p := New(Options{Bind: BindAlias, Family: modes.IPv4})
	p.enc = &Writer{bound: []uint32{1 << 30}} // there is no such device
	vip := netip.MustParseAddr("10.96.0.1")
	p.objects.held[Op{Kind: AddAddress, VIP: netip.AddrPortFrom(vip, 0)}.key()] = claim{}
	if err := p.readBack(); err == nil {
		t.Fatal("the addresses of a device that is not there were read")
	}
	if p.objects == nil || !p.bound(vip) {
		t.Error("the account is lost")
	}
}
