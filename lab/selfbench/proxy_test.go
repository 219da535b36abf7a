package selfbench

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplab/lab/testbed"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/modes/userspace"
	"viplab/workload"
)

const haproxyPort = 9000

// haproxyConfig is plain TCP proxying on one thread, as ours is, with splicing
// allowed, as ours does it.
const haproxyConfig = `global
  maxconn 4000
  nbthread 1
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen lab
  bind :%d
  balance roundrobin
%s`

// proxied starts one of the two proxies in the node and returns where it
// listens.
type proxied func(b *testing.B, net *topo.Topology, dir string) (netip.AddrPort, func())

func ourProxy(b *testing.B, net *topo.Topology, _ string) (netip.AddrPort, func()) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	p := userspace.New([]string{self, testbed.RoleProxy}, modes.IPv4)
	one := synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1}
	err = net.Node.Do(func() error {
		_, err := p.Sync(context.Background(), one.Snapshot())
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	// The first portal listens on the first port of the range.
	return netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), userspace.FirstPort), func() { _ = net.Node.Do(p.Close) }
}

func haproxy(b *testing.B, net *topo.Topology, dir string) (netip.AddrPort, func()) {
	svc := synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1}.Service(0)
	var servers strings.Builder
	for i, ep := range svc.Endpoints {
		fmt.Fprintf(&servers, "  server s%d %s:%d\n", i, ep.Addr, synth.FirstTargetPort)
	}
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, fmt.Appendf(nil, haproxyConfig, haproxyPort, servers.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := net.Node.Do(cmd.Start); err != nil {
		b.Fatal(err)
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	to := netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), haproxyPort)
	for range 100 {
		err := net.Client.Do(func() error {
			_, err := (&workload.Prober{}).FirstPacket(modes.TCP, to)
			return err
		})
		if err == nil {
			return to, stop
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	b.Fatalf("haproxy does not listen: %s", said.String())
	return to, stop
}

// versus measures both proxies in turn and reports medians and the ratio.
func versus(b *testing.B, unit string, measure func(*testing.B, *topo.Topology, netip.AddrPort) float64) {
	needTool(b, "haproxy")
	one := func(start proxied) float64 {
		net, err := topo.Build(topo.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer net.Close()
		to, stop := start(b, net, b.TempDir())
		defer stop()
		return measure(b, net, to)
	}
	var got pairs
	for range rounds {
		got.add(one(ourProxy), one(haproxy))
	}
	got.report(b, "haproxy", unit)
}

// BenchmarkProxyConnections: new connections a second, against HAProxy in TCP
// mode. More is better.
func BenchmarkProxyConnections(b *testing.B) {
	versus(b, "conns/s", func(b *testing.B, net *topo.Topology, to netip.AddrPort) float64 {
		var server *workload.Server
		err := net.Backend.Do(func() (err error) {
			server, err = workload.Serve(workload.Listen{TCP: []uint16{synth.FirstTargetPort}})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		defer server.Close()
		var got workload.Connections
		err = workload.Quiet(func() (err error) {
			got, err = workload.Connect(context.Background(), []netip.AddrPort{to}, 4, 2*time.Second, net.Client.Go)
			return err
		})
		if err != nil || got.Failed > 0 {
			b.Fatalf("%+v, %v", got, err)
		}
		return got.PerSecond()
	})
}

// BenchmarkProxyThroughput: iperf3 through the proxy, against HAProxy in TCP
// mode. More is better.
func BenchmarkProxyThroughput(b *testing.B) {
	versus(b, "Gbit/s", func(b *testing.B, net *topo.Topology, to netip.AddrPort) float64 {
		var server *workload.IperfServer
		err := net.Backend.Do(func() (err error) {
			server, err = workload.StartIperf(modes.IPv4, synth.FirstTargetPort)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		defer server.Stop()
		var got workload.Throughput
		err = net.Client.Do(func() (err error) {
			got, err = workload.Iperf(context.Background(), server, to, 2*time.Second, 0)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		return got.BitsPerSecond / 1e9
	})
}
