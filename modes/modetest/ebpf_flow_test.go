package modetest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/ebpf"
	"viplab/modes/snapshot/synth"
)

// TestBPFReset: a client's reset ends both directions of its flow, so that the port of a
// masqueraded one is free again.
func TestBPFReset(t *testing.T) {
	b := NewRig(t, ebpf.Mode(), nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
	svc := *b.Snapshot.Services[0]
	svc.ExternalIPs = []netip.Addr{netip.MustParseAddr("10.111.0.1")}
	b.Program(b.Snapshot.With(&svc))
	err := b.Net.Client.Do(func() error {
		c, err := net.Dial("tcp", netip.AddrPortFrom(svc.ExternalIPs[0], svc.Ports[0].Port).String())
		if err != nil {
			return err
		}
		if err := c.(*net.TCPConn).SetLinger(0); err != nil { // close by a reset
			return err
		}
		return c.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	const flagsAt, closed = 16, 2 // in struct flow of bpf/maps.h
	flows := newest(t, "flows")
	defer flows.Close()
	deadline := time.Now().Add(2 * time.Second)
	for {
		var entries, ended int
		key, value := make([]byte, flows.KeySize()), make([]byte, flows.ValueSize())
		it := flows.Iterate()
		for it.Next(&key, &value) {
			entries++
			if binary.NativeEndian.Uint32(value[flagsAt:])&closed != 0 {
				ended++
			}
		}
		if err := it.Err(); err != nil {
			t.Fatal(err)
		}
		if entries == 2 && ended == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %d directions of the one flow %d have ended", entries, ended)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestBPFAffinityByFront: under affinity a client keeps its endpoint only as long as the
// front that it dials leads there, although another front of the Service still does.
func TestBPFAffinityByFront(t *testing.T) {
	for _, choice := range ebpf.Selects() {
		t.Run(string(choice), func(t *testing.T) {
			b := NewRig(t, ebpf.Mode(), modes.Args{ebpf.SelectParam: string(choice)}, synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1})
			svc := *b.Snapshot.Services[0]
			svc.Affinity, svc.ExternalLocal = time.Hour, true
			svc.Ports = slices.Clone(svc.Ports)
			svc.Ports[0].NodePort = 30001
			here, there := svc.Endpoints[0], svc.Endpoints[1]
			here.Local = true
			nodePort := netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), 30001)
			ask := func(to netip.AddrPort, want modes.Endpoint) {
				t.Helper()
				if got, err := b.Ask(b.Net.Client, b.Prober, modes.TCP, to); err != nil || got != want.Addr {
					t.Errorf("%s was answered by %s, not %s, %v", to, got, want.Addr, err)
				}
				if got, err := b.Ask(b.Net.Node, b.InNode, modes.TCP, to); err != nil || got != want.Addr {
					t.Errorf("%s was answered to the node by %s, not %s, %v", to, got, want.Addr, err)
				}
			}
			program := func(endpoints ...modes.Endpoint) {
				t.Helper()
				next := svc
				next.Endpoints = endpoints
				b.Program(b.Snapshot.With(&next))
			}
			program(here)
			ask(trial.Front(&svc), here)
			program(here, there)
			ask(trial.Front(&svc), here)
			leaving := here
			leaving.Condition = modes.Terminating
			program(leaving, there)
			ask(trial.Front(&svc), there)
			ask(nodePort, there) // both senders are of the cluster, where policy Local does not count
			program(here, there)
			ask(trial.Front(&svc), there)
		})
	}
}

// TestBPFOtherLink: what the node sends leaves by the link that leads to the endpoint,
// whichever leads to the VIP.
func TestBPFOtherLink(t *testing.T) {
	for _, family := range modes.Dual.Parts() {
		t.Run(string(family), func(t *testing.T) {
			b := NewRig(t, ebpf.Mode(), modes.Args{ebpf.AttachParam: "tc"}, synth.Spec{Services: 2, Endpoints: 2, Ports: 1, Seed: 1, Family: family})
			b.Program(b.Snapshot)
			for _, svc := range b.Snapshot.Services {
				b.command(fmt.Sprintf("ip route add %s via %s", svc.ClusterIP, topo.Of(family).Client.Addr()))
				for range 4 {
					if err := b.RightEndpoint(b.Net.Node, b.InNode, modes.TCP, svc); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}
