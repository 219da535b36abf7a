package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
	"viplab/workload"
)

// RunJob runs the trials of a job, in modes of a catalog, one after another. A trial that fails is a
// record with an error, and the next one runs.
func RunJob(ctx context.Context, known catalog.Catalog, job Job, out *Emitter) error {
	if err := out.Emit(Event{Env: inspect()}); err != nil {
		return err
	}
	for _, spec := range job.Trials {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := runOne(ctx, known, spec, job, out); err != nil {
			return err
		}
		debug.FreeOSMemory()
	}
	return nil
}

// inspect tells what the testbed's kernel is.
func inspect() *Env {
	e := &Env{Kernel: results.KernelRelease(), CPUs: runtime.NumCPU(), Sysctls: map[string]string{}}
	for _, name := range []string{"net/netfilter/nf_conntrack_max", "net/core/somaxconn", "net/ipv4/tcp_congestion_control"} {
		if b, err := os.ReadFile("/proc/sys/" + name); err == nil {
			e.Sysctls[name] = strings.TrimSpace(string(b))
		}
	}
	return e
}

func runOne(ctx context.Context, known catalog.Catalog, spec Spec, job Job, out *Emitter) error {
	if err := out.Emit(Event{Start: spec.ID}); err != nil {
		return err
	}
	r := &run{Spec: spec, out: out, machine: modes.Machine{Family: spec.Synth.Family, ProxyCommand: job.ProxyCommand}}
	r.rng = rand.New(rand.NewPCG(spec.Synth.Seed, uint64(spec.Round)))
	start := time.Now()
	err := r.find(known)
	if err == nil {
		err = r.all(ctx)
	}
	if u, uerr := workload.SelfUsage(); uerr == nil {
		r.record(results.LabPeakRSS, nil, float64(u.PeakRSS))
	}
	r.record(results.TrialSeconds, nil, time.Since(start).Seconds())
	end := results.Record{Metric: results.Done, Factors: r.factors(nil), Trial: spec.ID, Round: spec.Round}
	if end.Mark = r.mark; err != nil {
		end.Err = err.Error()
	}
	return errors.Join(r.emitErr, out.Emit(Event{Record: &end}))
}

// run is the state of one trial.
type run struct {
	Spec
	out     *Emitter
	emitErr error
	machine modes.Machine
	about   modes.Mode   // that the trial is of
	traits  modes.Traits // of it with the trial's arguments
	rng     *rand.Rand

	snap    modes.Snapshot
	mode    modes.Proxier
	net     *topo.Topology
	server  *workload.Server
	prober  *workload.Prober // in client
	inNode  *workload.Prober
	drops0  uint64
	mark    string
	kernel0 workload.KernelMemory
}

// Variant is what the trial's records say it compares: the mode with its arguments, and
// what holds for the whole trial. What has its default is absent.
func (s Spec) Variant() map[string]string {
	v := map[string]string{
		results.Mode:      s.Mode,
		results.Endpoints: strconv.Itoa(s.Synth.Endpoints),
		results.Ports:     strconv.Itoa(s.Synth.Ports),
		results.Testbed:   s.Testbed,
	}
	maps.Copy(v, s.Args)
	if s.PolicyPackets != "" {
		v[results.Policies], v[results.Packets] = strconv.Itoa(s.Policies), s.PolicyPackets
	}
	for name, value := range map[string]string{
		results.Family: string(s.Synth.Family), results.Weights: join(s.Synth.Weights), results.Affinity: affinity(s.Synth.Affinity),
	} {
		if value != "" {
			v[name] = value
		}
	}
	return v
}

func (r *run) factors(more map[string]string) map[string]string {
	f := r.Variant()
	f[results.Services] = strconv.Itoa(r.Synth.Services)
	maps.Copy(f, more)
	return f
}

// join writes weights as a factor, "" for none.
func join(weights []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(weights), "[]"), " ", ":")
}

// affinity writes a timeout as a factor, "" for none.
func affinity(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func (r *run) record(metric string, more map[string]string, values ...float64) {
	if len(values) == 0 {
		return
	}
	r.emit(results.Record{Metric: metric, Factors: r.factors(more), Trial: r.ID, Round: r.Round, Values: values})
}

// emit sends a record out; the first failure ends the trial later.
func (r *run) emit(rec results.Record) {
	if err := r.out.Emit(Event{Record: &rec}); err != nil && r.emitErr == nil {
		r.emitErr = err
	}
}

func (r *run) step(format string, args ...any) {
	_ = r.out.Emit(Event{Step: fmt.Sprintf(format, args...)})
}

// find takes the trial's mode out of a catalog, and its arguments with it.
func (r *run) find(from catalog.Catalog) (err error) {
	if r.about, err = from.Find(r.Mode); err != nil {
		return err
	}
	if err = r.about.CheckArgs(r.Args, r.Synth.Family); err != nil {
		return err
	}
	r.traits = r.about.TraitsOf(r.Args)
	return nil
}

// all runs the whole trial. Whatever happens, nothing is left behind.
func (r *run) all(ctx context.Context) (err error) {
	r.snap = r.Synth.Snapshot()
	if err := r.snap.Validate(topo.NodeAddrs()...); err != nil {
		return err
	}
	if stepwise(r.newProxier()) != nil {
		return r.sequential(ctx)
	}
	if err := r.plain(ctx); err != nil {
		return fmt.Errorf("plain rules: %w", err)
	}
	for i := range r.Plan.FullSyncs {
		if err := r.setUp(ctx); err != nil {
			return errors.Join(err, r.tearDown())
		}
		err := r.fullSync(ctx, i == r.Plan.FullSyncs-1)
		if errors.Is(err, errOver) {
			return r.abandon()
		}
		if err != nil {
			return errors.Join(err, r.tearDown())
		}
		if i < r.Plan.FullSyncs-1 {
			if err := r.tearDown(); err != nil {
				return err
			}
		}
	}
	steps := []struct {
		name string
		fn   func(context.Context) error
	}{
		{"one rule more", r.appendOne},
		{"first packets", r.quietly(r.firstPackets)},
		{"deltas", r.deltas},
		{"connections", r.quietly(r.connections)},
		{"evenness", r.evenness},
		{"reused ports", r.reuse},
		{"scenario", r.scenario},
		{"churn", r.churn},
		{"live traffic beside full syncs", r.live},
		{"iperf", r.iperf},
		{"memory", r.memory},
	}
	for _, s := range steps {
		if err = ctx.Err(); err != nil {
			break
		}
		r.step("%s", s.name)
		if err = s.fn(ctx); errors.Is(err, errOver) {
			return r.abandon()
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
	}
	return errors.Join(err, r.tearDown())
}

// abandon ends a trial whose Sync was cut off. What it left half-written is in no
// state to be closed: it goes with its namespace.
func (r *run) abandon() error {
	r.mode = nil
	return r.tearDown()
}

func (r *run) quietly(step func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		return workload.Quiet(func() error { return step(ctx) })
	}
}

func (r *run) newProxier() modes.Proxier { return r.about.Make(r.Args, r.machine) }

// toNode tells whether Services answer the node itself.
func (r *run) toNode() bool { return !r.traits.NodeUnserved }

// ofService is the part of the mode that serves a Service.
func (r *run) ofService(svc *modes.Service) modes.Proxier { return modes.PartFor(r.mode, svc.Family()) }

// count is how many Services there are, a dual-stack one counted once.
func (r *run) count() int { return len(r.snap.Services) / r.Synth.Width() }

// service is the Service at a position, of a dual-stack one the part of IPv4.
func (r *run) service(i int) *modes.Service { return r.snap.Services[i*r.Synth.Width()] }

func (r *run) buildNet() (err error) {
	r.step("topology")
	r.net, err = topo.Build(topo.Options{Family: r.Synth.Family, Past: r.traits.DirectServerReturn, Tunnel: r.traits.Tunnel, SamePort: r.Synth.SamePort})
	return err
}

func (r *run) setUp(ctx context.Context) (err error) {
	if err := r.buildNet(); err != nil {
		return err
	}
	r.prober, r.inNode = &workload.Prober{}, &workload.Prober{}
	var ports []uint16
	for p := range r.Synth.Ports {
		ports = append(ports, r.Synth.TargetPort()+uint16(p))
	}
	err = r.net.Backend.Do(func() (err error) {
		r.server, err = workload.Serve(workload.Listen{Family: r.Synth.Family, TCP: ports, UDP: ports[:1]})
		return err
	})
	if err != nil {
		return err
	}
	r.mode = r.newProxier()
	if err := r.net.Node.Do(func() error { return r.mode.Probe(ctx) }); err != nil {
		return err
	}
	if err := r.policies(ctx); err != nil {
		return fmt.Errorf("policy rules: %w", err)
	}
	if r.drops0, err = r.conntrackDrops(); err != nil {
		return err
	}
	r.kernel0, err = workload.ReadKernelMemory()
	return err
}

// conntrackDrops is what the node's conntrack table has refused so far.
func (r *run) conntrackDrops() (n uint64, err error) {
	err = r.net.Node.Do(func() error {
		n, err = workload.ConntrackDrops()
		return err
	})
	return n, err
}

// noteDrops marks the trial if the conntrack table was full meanwhile: packets
// that it refused are no packets of the mode's.
func (r *run) noteDrops() {
	if n, err := r.conntrackDrops(); err == nil && n > r.drops0 {
		r.mark = fmt.Sprintf("the node's conntrack table was full: %d packets or flows were dropped", n-r.drops0)
	}
}

func (r *run) tearDown() error {
	var errs []error
	if r.net != nil && r.net.Node != nil {
		r.noteDrops()
	}
	if r.mode != nil {
		errs = append(errs, r.net.Node.Do(r.mode.Close))
	}
	if r.server != nil {
		r.server.Close()
	}
	if r.net != nil {
		errs = append(errs, r.net.Close())
	}
	r.mode, r.server, r.net = nil, nil, nil
	return errors.Join(errs...)
}
