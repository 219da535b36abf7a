package selfbench

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/perf/benchmath"

	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// rounds is how often both sides run, in turn: six are the least for a 95 %
// interval of the median.
const rounds = 6

// many is how often both sides run where their difference is small beside what one call of a
// tool strays by, a tenth and more: the three outermost of either end are then no part of the
// interval.
const many = 16

// pairs are figures of ours and of theirs, taken in turn.
type pairs struct{ ours, theirs, ratio []float64 }

func (p *pairs) add(ours, theirs float64) {
	p.ours, p.theirs, p.ratio = append(p.ours, ours), append(p.theirs, theirs), append(p.ratio, ours/theirs)
}

// report reports the median of each side, theirs by its name, and of the ratio
// ours/theirs, with its interval.
func (p *pairs) report(b *testing.B, theirs, unit string) {
	r := median(p.ratio)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(p.ours).Center, "ours-"+unit)
	b.ReportMetric(median(p.theirs).Center, theirs+"-"+unit)
	b.ReportMetric(r.Center, "ratio")
	b.ReportMetric(r.Lo, "ratio-lo")
	b.ReportMetric(r.Hi, "ratio-hi")
}

// side is one of two ways to do the same, which says how long that took and leaves
// nothing behind.
type side func() time.Duration

// compare runs both sides in turn, so many times each, and reports them. The first turn, in a
// fresh namespace, does not count.
func compare(b *testing.B, turns int, ours, theirs side) {
	var took pairs
	for i := range turns + 1 {
		var x, y time.Duration
		if i%2 == 0 {
			x, y = ours(), theirs()
		} else {
			y, x = theirs(), ours()
		}
		if b.Failed() {
			return
		}
		if i > 0 {
			took.add(x.Seconds(), y.Seconds())
		}
	}
	took.report(b, "theirs", "s")
}

func median(v []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(v), &benchmath.DefaultThresholds), 0.95)
}

// once does something in the node of a fresh topology.
func once(b *testing.B, do func(b *testing.B, net *topo.Topology)) {
	b.Helper()
	net, err := topo.Build(topo.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := net.Close(); err != nil {
			b.Error(err)
		}
		// The kernel frees what was in the namespaces in the background, on
		// the one CPU that the next measurement needs.
		time.Sleep(time.Second)
	}()
	_ = net.Node.Do(func() error { do(b, net); return nil })
}

// inNode calls fn in the node of a topology, which both sides of a comparison share.
func inNode(b *testing.B, fn func()) {
	b.Helper()
	once(b, func(*testing.B, *topo.Topology) { fn() })
}

// fresh runs a side in a topology of its own each time.
func fresh(b *testing.B, s side) side {
	return func() (took time.Duration) {
		inNode(b, func() { took = s() })
		return took
	}
}

// sync times a Sync.
func sync(b *testing.B, p modes.Proxier, s modes.Snapshot) time.Duration {
	start := time.Now()
	if _, err := p.Sync(context.Background(), s); err != nil {
		b.Error(err)
	}
	return time.Since(start)
}

// full times a mode's full sync.
func full(b *testing.B, mode func() modes.Proxier, snap modes.Snapshot) side {
	return func() time.Duration {
		p := mode()
		defer shut(b, p)
		return sync(b, p, snap)
	}
}

func shut(b *testing.B, p modes.Proxier) {
	if err := p.Close(); err != nil {
		b.Error(err)
	}
}

// delta times a change on top of a Snapshot, which goes again after it: a proxier that runs for
// weeks has made changes already. What there is stays for the other side.
func delta(b *testing.B, p modes.Proxier, snap, next modes.Snapshot) side {
	sync(b, p, snap)
	return func() time.Duration {
		took := sync(b, p, next)
		sync(b, p, snap)
		return took
	}
}

// feed times a program that is given a ready-made text.
type feed func(b *testing.B, input []byte, command ...string) time.Duration

// tool times a program that reads a ready-made text from a file, which is the fastest that
// there is: out of a pipe it would take turns with its writer.
func tool(b *testing.B, input []byte, command ...string) time.Duration {
	path := filepath.Join(b.TempDir(), "input")
	defer func() { _ = os.Remove(path) }()
	err := os.WriteFile(path, input, 0o600)
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if err != nil {
		b.Error(err)
		return 0
	}
	defer func() { _ = file.Close() }()
	return run(b, file, command)
}

// piped times a program that is fed a ready-made text through a pipe.
func piped(b *testing.B, input []byte, command ...string) time.Duration {
	return run(b, bytes.NewReader(input), command)
}

func run(b *testing.B, input io.Reader, command []string) time.Duration {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = input
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Errorf("%s: %v %.200s", command[0], err, out)
	}
	return time.Since(start)
}

// undone is a program fed a text in some way, after which another text takes away what it made.
func undone(b *testing.B, fed feed, do, undo []byte, command ...string) side {
	return func() time.Duration {
		took := fed(b, do, command...)
		tool(b, undo, command...)
		return took
	}
}
