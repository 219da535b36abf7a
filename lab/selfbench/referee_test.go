package selfbench

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// long is how many Services the chain of the comparison has; a chain of one is what is
// taken off. Fewer are lost in the noise of a first packet, more do not fit into the second
// cache of a CPU, and cost four times as much where neighbours use the third one.
const long = 5000

// firstPackets is how many first packets a figure is the median of.
const firstPackets = 1000

// chain is one way to have a chain of n Services in the node: it programs them and
// returns what to dial, the last of them, and how many rules stand before it.
type chain func(n int, proto modes.Protocol) (to netip.AddrPort, rules int, err error)

// probe measures first packets from the client's namespace, in nanoseconds.
type probe func(proto modes.Protocol, to netip.AddrPort) ([]float64, error)

// labChain is the lab's own iptables mode.
func labChain(n int, proto modes.Protocol) (netip.AddrPort, int, error) {
	s := synth.Spec{Services: n, Endpoints: 1, Ports: 1, Seed: 1}
	snap := s.Snapshot()
	if _, err := iptables.New(nil, iptables.Restorer{}).Sync(context.Background(), snap); err != nil {
		return netip.AddrPort{}, 0, err
	}
	last, rules := s.Service(n-1), -1
	if !s.HasUDP(n - 1) {
		return netip.AddrPort{}, 0, fmt.Errorf("the last of %d Services has no UDP port", n)
	}
	for _, svc := range snap.Services {
		rules += len(svc.Ports)
	}
	return netip.AddrPortFrom(last.ClusterIP, synth.FirstPort), rules, nil
}

// handChain is what the script writes: as many rules as the lab's chain has, but for a few, since
// what a rule costs depends on whether the chain fits into the CPU's cache.
func handChain(n int, _ modes.Protocol) (netip.AddrPort, int, error) {
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 0, 10}), synth.FirstPort)
	s := synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1}
	backend := netip.AddrPortFrom(s.Service(0).Endpoints[0].Addr, s.TargetPort())
	text, err := exec.Command("sh", "testdata/chain.sh", strconv.Itoa(n), to.Addr().String(), strconv.Itoa(synth.FirstPort), backend.String()).Output()
	if err != nil {
		return to, 0, fmt.Errorf("write a chain of %d Services: %w", n, err)
	}
	restore := exec.Command("iptables-legacy-restore", "-w", "5")
	restore.Stdin = bytes.NewReader(text)
	if out, err := restore.CombinedOutput(); err != nil {
		return to, 0, fmt.Errorf("iptables-legacy-restore: %w: %.200s", err, out)
	}
	return to, n, nil
}

// labProbe is the lab's probe.
func labProbe(proto modes.Protocol, to netip.AddrPort) (took []float64, err error) {
	p := &workload.Prober{}
	for range firstPackets {
		d, err := p.FirstPacket(proto, to)
		if err != nil {
			return nil, err
		}
		took = append(took, float64(d.Nanoseconds()))
	}
	return took, nil
}

// refereeProbe is the compiled C program.
func refereeProbe(program string) probe {
	return func(proto modes.Protocol, to netip.AddrPort) (took []float64, err error) {
		out, err := exec.Command(program, strings.ToLower(string(proto)), to.Addr().String(), strconv.Itoa(int(to.Port())), strconv.Itoa(firstPackets)).Output()
		if err != nil {
			return nil, fmt.Errorf("referee of %s: %w", to, err)
		}
		for line := range strings.Lines(string(out)) {
			ns, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
			if err != nil {
				return nil, fmt.Errorf("referee: %w", err)
			}
			took = append(took, ns)
		}
		return took, nil
	}
}

// firstPacket is the median first packet through a chain of n Services in a fresh
// topology, and how many rules stand before the one that takes it.
func firstPacket(b *testing.B, n int, proto modes.Protocol, with chain, by probe) (ns float64, rules int) {
	b.Helper()
	net, err := topo.Build(topo.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer net.Close()
	port := []uint16{synth.Spec{}.TargetPort()}
	var server *workload.Server
	err = net.Backend.Do(func() (err error) { server, err = workload.Serve(workload.Listen{TCP: port, UDP: port}); return err })
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	var to netip.AddrPort
	if err := net.Node.Do(func() (err error) { to, rules, err = with(n, proto); return err }); err != nil {
		b.Fatal(err)
	}
	var took []float64
	err = workload.Quiet(func() error {
		return net.Client.Do(func() (err error) { took, err = by(proto, to); return err })
	})
	if err != nil {
		b.Fatal(err)
	}
	return median(took).Center, rules
}

// perRule is what one more rule of the chain costs a first packet.
func perRule(b *testing.B, proto modes.Protocol, with chain, by probe) float64 {
	b.Helper()
	one, few := firstPacket(b, 1, proto, with, by)
	all, many := firstPacket(b, long, proto, with, by)
	return (all - one) / float64(many-few)
}

// compile makes a program of one C file, or skips where there is no compiler.
func compile(b *testing.B, source string) string {
	b.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		b.Skipf("SKIPPED: %v", &modes.MissingError{Need: "a C compiler (cc)", Mend: "sudo apt-get install gcc libc6-dev", Err: err})
	}
	program := filepath.Join(b.TempDir(), "program")
	if out, err := exec.Command(cc, "-O2", "-o", program, source).CombinedOutput(); err != nil {
		b.Fatalf("compile %s: %v: %s", source, err, out)
	}
	return program
}

// BenchmarkReferee: what a rule of a linear chain costs a first packet by the lab's probe
// and its own mode, against a C program and rules that a script writes. Agreement is 1.
func BenchmarkReferee(b *testing.B) {
	program := compile(b, "testdata/referee.c")
	for _, proto := range []modes.Protocol{modes.TCP, modes.UDP} {
		b.Run(string(proto), func(b *testing.B) {
			var got pairs
			for range rounds {
				got.add(perRule(b, proto, labChain, labProbe), perRule(b, proto, handChain, refereeProbe(program)))
			}
			got.report(b, "referee", "ns/rule")
		})
	}
}
