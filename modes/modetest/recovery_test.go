package modetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/ebpf"
	"viplab/modes/ipvs"
	"viplab/modes/snapshot/synth"
)

// TestSharing: Services that share and exchange what Services can, from one random
// Snapshot to the next; nothing is refused, and the kernel ends up with what a fresh sync
// gives, however VIPs are bound.
func TestSharing(t *testing.T) {
	if inside.Testbed() != testbed.UMLName {
		return // IPVS is in the guest only; see there
	}
	for _, bind := range ipvs.Binds() {
		t.Run(bind, func(t *testing.T) {
			b := NewRig(t, ipvs.Mode(), modes.Args{ipvs.BindParam: bind}, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
			before := b.State()
			at := topo.Of(modes.IPv4)
			tangle := synth.Tangle{Rand: rand.New(rand.NewPCG(7, 7)), Node: []netip.Addr{at.Node.Addr(), at.ToClient.Addr()}, Protocols: modes.Protocols()}
			for step := range 80 {
				s := tangle.Snapshot()
				b.Program(s)
				if step%20 != 19 {
					continue
				}
				if got, want := sortedLines(b.State()), b.anew(s); got != want {
					t.Fatalf("step %d: the kernel held\n%s\na fresh sync gives\n%s", step, got, want)
				}
			}
			if err := b.Net.Node.Do(b.Proxier.Close); err != nil {
				t.Fatal(err)
			}
			if after := b.State(); after != before {
				t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// impossible is a Snapshot that every mode fails on, some of it programmed: it has not been
// through the door that would refuse it.
func impossible(mode string, s modes.Snapshot) modes.Snapshot {
	svc := *s.Services[0]
	svc.Name += "-x"
	svc.ClusterIP = netip.MustParseAddr("10.96.99.99")
	switch mode {
	case "ipvs":
		svc.LoadBalancerIPs = []netip.Addr{netip.MustParseAddr("10.111.99.99")}
		svc.SourceRanges = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	case "nftables":
		svc.ExternalIPs = []netip.Addr{netip.MustParseAddr("fd00:99::99")} // no key of a map of IPv4
	default:
		svc.Ports = slices.Clone(svc.Ports)
		svc.Ports[0].Name = `" --no-such-match "` // iptables stops at it
	}
	return s.Without(1).With(&svc)
}

// TestRecovery: after a Sync that failed, the next one mends everything.
func TestRecovery(t *testing.T) {
	for _, m := range catalog.All().Serving() {
		if m.Name == ebpf.Name {
			continue // see ebpf_test.go: no command reaches what it has
		}
		t.Run(m.Name, func(t *testing.T) {
			b := NewRig(t, m, nil, synth.Spec{Services: 6, Endpoints: 2, Ports: 1, Seed: 1})
			outer := *b.Snapshot.Services[5] // mode ipvs keeps what such a Service needs
			outer.ExternalIPs = []netip.Addr{netip.MustParseAddr("10.111.77.77")}
			good := b.Snapshot.With(&outer)
			for _, first := range []bool{true, false} {
				if !first {
					b.Program(good)
				}
				_, err := b.Sync(t.Context(), impossible(m.Name, good))
				if err == nil {
					t.Fatal("the impossible was done")
				}
				if want := "a range of this length cannot be an entry"; m.Name == "ipvs" && !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
				next := good.Without(3)
				b.Program(next)
				b.mended(next)
				b.Program(good)
				b.mended(good)
				if err := b.Net.Node.Do(b.Proxier.Close); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// mended holds what the kernel holds against what a fresh sync gives, and asks every
// Service.
func (b *Rig) mended(s modes.Snapshot) {
	b.t.Helper()
	for _, svc := range s.Services {
		if err := b.RightEndpoint(b.Net.Client, b.Prober, modes.TCP, svc); err != nil {
			b.t.Error(err)
		}
	}
	if b.Mode == "userspace" {
		return // its ports depend on history
	}
	if got, want := sortedLines(b.State()), b.anew(s); got != want {
		b.t.Errorf("the kernel held\n%s\na fresh sync gives\n%s", got, want)
	}
}

// handsOf are commands by which somebody else spoils what a mode has programmed: something
// goes that it needs, something comes that it does not know.
func handsOf(mode string, vip netip.Addr, real *modes.Service) []string {
	if mode == "nftables" {
		return []string{
			"nft flush chain ip kube-proxy nat-prerouting", "nft add chain ip kube-proxy stray",
			"nft add rule ip kube-proxy services jump stray", "nft flush map ip kube-proxy service-endpoints",
			fmt.Sprintf("nft delete element ip kube-proxy cluster-ips { %s }", vip),
			"nft add element ip kube-proxy cluster-ips { 10.96.77.77 }",
		}
	}
	chain := "KUBE-SERVICES"
	if mode == "userspace" {
		chain = "KUBE-PORTALS-HOST"
	}
	hands := []string{
		"iptables-legacy -t nat -D PREROUTING 1", "iptables-legacy -t nat -N KUBE-STRAY",
		"iptables-legacy -t nat -A OUTPUT -j KUBE-STRAY", "iptables-legacy -t nat -F " + chain,
	}
	if mode != "ipvs" {
		return hands
	}
	return append(hands,
		fmt.Sprintf("ip route del local %s dev %s", vip, ipvs.Device), fmt.Sprintf("ipvsadm -D -t %s:80", vip),
		fmt.Sprintf("ipvsadm -d -t %s:80 -r %s", real.ClusterIP, real.Endpoints[0].At(real.Ports[0])),
		fmt.Sprintf("ipvsadm -e -t %s:80 -r %s -m -w 7", real.ClusterIP, real.Endpoints[1].At(real.Ports[0])),
		"ipvsadm -A -t 10.96.77.77:80 -s wlc", "ip route add local 10.96.77.77 dev "+ipvs.Device,
		"ipset flush KUBE-LOOP-BACK", "ipset add KUBE-CLUSTER-IP 10.96.77.77,tcp:80",
		fmt.Sprintf("ipvsadm -E -t %s:80 -s lc -p 60", real.ClusterIP))
}

// TestOthersRoutes: a VIP that is local already, and a local range by the mode's device, are
// in nobody's way and stay as they are.
func TestOthersRoutes(t *testing.T) {
	b := NewRig(t, ipvs.Mode(), nil, synth.Spec{Services: 3, Endpoints: 2, Ports: 1, Seed: 1})
	b.Program(b.Snapshot)
	const theirs = "local 10.96.66.66 dev lo"
	b.command("ip route add " + theirs)
	b.command("ip route add local 10.77.0.0/16 dev " + ipvs.Device)
	before, plain := sortedLines(b.State()), b.Snapshot
	svc := *plain.Services[1]
	svc.Name, svc.ClusterIP = "theirs-too", netip.MustParseAddr("10.96.66.66")
	b.Program(plain.With(&svc))
	if err := b.Net.Node.Do(func() error {
		_, err := b.Proxier.(modes.Refresher).Refresh(t.Context())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Validate(true); err != nil {
		t.Error(err)
	}
	b.Program(plain)
	if after := sortedLines(b.State()); after != before || !strings.Contains(after, theirs) {
		t.Errorf("the kernel held\n%s\nand now\n%s", before, after)
	}
}

// TestOthersHands: what somebody else has changed a full sync puts right, and in mode ipvs
// a Sync that comes upon it.
func TestOthersHands(t *testing.T) {
	for _, m := range catalog.All().Serving() {
		if m.Name == ebpf.Name {
			continue // see ebpf_test.go: no command reaches what it has
		}
		t.Run(m.Name, func(t *testing.T) {
			b := NewRig(t, m, nil, synth.Spec{Services: 6, Endpoints: 2, Ports: 1, Seed: 1})
			b.Program(b.Snapshot)
			before := sortedLines(b.State())
			vip, real := b.Snapshot.Services[2].ClusterIP, b.Snapshot.Services[3]
			hands := handsOf(m.Name, vip, real)
			for _, h := range hands {
				b.command(h)
			}
			r := b.Proxier.(modes.Refresher)
			if err := b.Net.Node.Do(func() error {
				_, err := r.Refresh(t.Context())
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
			if m.Name != "ipvs" {
				return
			}
			// A Sync that meets what is there already, or is not, puts it right at once.
			b.command("ipvsadm -A -t 10.96.88.88:80 -s wlc")
			b.command(fmt.Sprintf("ipvsadm -D -t %s:80", vip))
			svc := *b.Snapshot.Services[0]
			svc.ClusterIP = netip.MustParseAddr("10.96.88.88")
			next := b.Snapshot.With(&svc).Without(2)
			b.Program(next)
			if got, want := sortedLines(b.State()), b.anew(next); got != want {
				t.Errorf("the kernel held\n%s\na fresh sync gives\n%s", got, want)
			}
		})
	}
}
