package selfbench

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// Both sides of the comparisons with generators make as many connections at once, or as
// many one after another, for as long.
const (
	atOnce   = 4
	rateTime = 3 * time.Second
	inTurn   = 500
)

// behindOne calls fn in the client's namespace with a Service of mode iptables that leads to the
// C server.
func behindOne(b *testing.B, server string, fn func(net *topo.Topology, to netip.AddrPort) error) {
	b.Helper()
	once(b, func(b *testing.B, net *topo.Topology) {
		cmd := exec.Command(server, strconv.Itoa(int(synth.Spec{}.TargetPort())))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		ready, err := cmd.StdoutPipe()
		if err == nil {
			err = net.Backend.Do(cmd.Start)
		}
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
			b.Fatalf("the server did not start: %v", err)
		}
		to, _, err := labChain(1, modes.TCP)
		if err == nil {
			err = net.Client.Do(func() error { return fn(net, to) })
		}
		if err != nil {
			b.Error(err)
		}
	})
}

// figures runs a program and reads numbers out of what it prints.
func figures(find *regexp.Regexp, name string, args ...string) (all []float64, err error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %.300s", name, err, out)
	}
	for _, m := range find.FindAllSubmatch(out, -1) {
		f, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, f)
	}
	if len(all) == 0 || complains.Match(out) {
		return nil, fmt.Errorf("%s has no clean figure: %.500s", name, out)
	}
	return all, nil
}

var (
	wrkRate   = regexp.MustCompile(`Requests/sec:\s*([0-9.]+)`)
	complains = regexp.MustCompile(`Socket errors|Non-2xx`)
	seconds   = regexp.MustCompile(`(?m)^([0-9.]+)$`)
)

// against runs ours and a program's figure in turn, behind a fresh server each, and reports both
// and their ratio.
func against(b *testing.B, unit string, ours func(*topo.Topology, netip.AddrPort) (float64, error), theirs func(netip.AddrPort) (float64, error)) {
	b.Helper()
	server := compile(b, "testdata/answer.c")
	var got pairs
	for range rounds {
		a, z := math.NaN(), math.NaN()
		behindOne(b, server, func(net *topo.Topology, to netip.AddrPort) (err error) { a, err = ours(net, to); return err })
		behindOne(b, server, func(_ *topo.Topology, to netip.AddrPort) (err error) { z, err = theirs(to); return err })
		if b.Failed() {
			return
		}
		got.add(a, z)
	}
	got.report(b, "theirs", unit)
}

// BenchmarkGeneratorRate: new connections a second of the lab's closed loop, against wrk with
// as many at once, each of one request.
func BenchmarkGeneratorRate(b *testing.B) {
	needTool(b, "wrk")
	against(b, "conn/s", func(net *topo.Topology, to netip.AddrPort) (float64, error) {
		var c workload.Connections
		err := workload.Quiet(func() (err error) {
			c, err = workload.Connect(context.Background(), []netip.AddrPort{to}, atOnce, rateTime, net.Client.Go)
			return err
		})
		if err == nil && c.Failed > 0 {
			err = fmt.Errorf("%d of %d connections failed: %w", c.Failed, c.Done+c.Failed, c.Err)
		}
		return c.PerSecond(), err
	}, func(to netip.AddrPort) (float64, error) {
		rate, err := figures(wrkRate, "wrk", "-t1", "-c", strconv.Itoa(atOnce), "-d", rateTime.String(), "-H", "Connection: close", "http://"+to.String()+"/")
		if err != nil {
			return 0, err
		}
		return rate[0], nil
	})
}

// BenchmarkGeneratorLatency: the median time from SYN to SYN-ACK by the lab's probe, against
// the time_connect of curl, which waits for each connection in an event loop. (hping3 prints
// tenths of a millisecond; nping takes its time when connect has returned, before any answer.)
func BenchmarkGeneratorLatency(b *testing.B) {
	needTool(b, "curl")
	against(b, "µs", func(_ *topo.Topology, to netip.AddrPort) (float64, error) {
		var took []float64
		err := workload.Quiet(func() error {
			p := &workload.Prober{}
			for range inTurn {
				d, err := p.FirstPacket(modes.TCP, to)
				if err != nil {
					return err
				}
				took = append(took, d.Seconds()*1e6)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		return median(took).Center, nil
	}, func(to netip.AddrPort) (float64, error) {
		took, err := figures(seconds, "curl", "-q", "--noproxy", "*", "-s", "-S", "-o", "/dev/null", "-w", `%{time_connect}\n`, fmt.Sprintf("http://%s/[1-%d]", to, inTurn))
		if err == nil && len(took) != inTurn {
			err = fmt.Errorf("curl printed %d times of %d", len(took), inTurn)
		}
		if err != nil {
			return 0, err
		}
		return median(took).Center * 1e6, nil
	})
}

// needTool skips where a program is missing.
func needTool(b *testing.B, name string) {
	b.Helper()
	if _, err := exec.LookPath(name); err != nil {
		b.Skipf("SKIPPED: %v", &modes.MissingError{Need: "the tool " + name, Mend: "sudo apt-get install " + name, Err: err})
	}
}
